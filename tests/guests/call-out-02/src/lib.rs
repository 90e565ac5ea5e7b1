//! Calls out as components of the generation before do, through `wasi:http/outgoing-handler@0.2`:
//! fetches what `scheme`, `authority` and `path` say, and answers with the body, or with the name of
//! the error. `header=name:value` goes with it. Called with `?again`, it appends its own query.

use form_urlencoded::parse;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

struct CallOut02;

wasip2::http::proxy::export!(CallOut02);

impl Guest for CallOut02 {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let answer = match describe(query) {
            Ok(outgoing) => fetch(outgoing).unwrap_or_else(|error| format!("{error:?}")),
            Err(refused) => format!("refused: {refused}"),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body was not taken before");
        ResponseOutparam::set(outparam, Ok(response));
        let stream = body.write().expect("the stream was not taken before");
        for chunk in answer.as_bytes().chunks(4096) {
            stream
                .blocking_write_and_flush(chunk)
                .expect("the host takes the body");
        }
        drop(stream);
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}

fn describe(query: &str) -> Result<OutgoingRequest, String> {
    let parameter = |name: &str| {
        parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let headers = Fields::new();
    if let Some(header) = parameter("header") {
        let (name, value) = header.split_once(':').ok_or("header")?;
        headers
            .append(name, value.as_bytes())
            .map_err(|error| format!("header: {error:?}"))?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let scheme = match parameter("scheme").as_deref() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    outgoing
        .set_authority(parameter("authority").as_deref())
        .map_err(|()| "authority")?;
    let mut path = parameter("path").unwrap_or_else(|| "/".to_owned());
    if parameter("again").is_some() {
        path = format!("{path}?{query}");
    }
    outgoing
        .set_path_with_query(Some(&path))
        .map_err(|()| "path")?;
    Ok(outgoing)
}

fn fetch(request: OutgoingRequest) -> Result<String, ErrorCode> {
    let pending = handle(request, None)?;
    pending.subscribe().block();
    let response = pending
        .get()
        .expect("it is ready")
        .expect("it was not taken before")?;
    let body = response.consume().expect("the body was not taken before");
    let stream = body.stream().expect("the stream was not taken before");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                // The host has a code for it only where the error is one of the protocol's own.
                let text = error.to_debug_string();
                return Err(http_error_code(&error).unwrap_or(ErrorCode::InternalError(Some(text))));
            }
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
