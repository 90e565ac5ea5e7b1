//! Calls out through WASI 0.2, with `wasi:http/outgoing-handler@0.2`: fetches the URL of `scheme`,
//! `authority` and `path`, with the header `header=name:value`, and responds with the body, or with the
//! name of the error. With `?again`, it appends its own query.

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
        let text = match describe(query) {
            Ok(outgoing) => fetch(outgoing).unwrap_or_else(|error| format!("{error:?}")),
            Err(refused) => format!("refused: {refused}"),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(outparam, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        for chunk in text.as_bytes().chunks(4096) {
            stream
                .blocking_write_and_flush(chunk)
                .expect("the host accepts the body");
        }
        drop(stream);
        OutgoingBody::finish(body, None).expect("there is no content-length");
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
        .expect("the response is ready")
        .expect("the response is taken once")?;
    let body = response.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                // Only errors of the protocol have a code.
                let text = error.to_debug_string();
                return Err(http_error_code(&error).unwrap_or(ErrorCode::InternalError(Some(text))));
            }
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
