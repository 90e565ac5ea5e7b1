//! A component of WASI 0.2: it exports `wasi:http/incoming-handler@0.2`, and must be served like the
//! others. It responds with the requested path.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Wasi02;

wasip2::http::proxy::export!(Wasi02);

impl Guest for Wasi02 {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(outparam, Ok(response));
        body.write()
            .expect("the stream is taken once")
            .blocking_write_and_flush(format!("WASI 0.2 was asked for {path}\n").as_bytes())
            .expect("the host accepts the body");
        OutgoingBody::finish(body, None).expect("there is no content-length");
    }
}
