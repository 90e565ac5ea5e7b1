//! A component of the generation before: it exports `wasi:http/incoming-handler@0.2`, and must be
//! served like the others. It answers with the path that was asked for.

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
        let body = response.body().expect("the body was not taken before");
        ResponseOutparam::set(outparam, Ok(response));
        body.write()
            .expect("the stream was not taken before")
            .blocking_write_and_flush(format!("WASI 0.2 was asked for {path}\n").as_bytes())
            .expect("the host takes the body");
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}
