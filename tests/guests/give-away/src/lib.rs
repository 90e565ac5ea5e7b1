//! Responds with the file `/file`, whose stream it passes to the host. The guest is done long before the
//! host has read the stream.

use spin_sdk::http::Request;
use spin_sdk::http_service;
use spin_sdk::wasip3::filesystem::preopens;
use spin_sdk::wasip3::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Response};
use spin_sdk::wasip3::wit_future;

#[http_service]
async fn give_away(_request: Request) -> Result<Response, ErrorCode> {
    let missing = || ErrorCode::InternalError(Some("no folder at /".to_owned()));
    let (folder, _) = preopens::get_directories().pop().ok_or_else(missing)?;
    let file = folder
        .open_at(
            PathFlags::empty(),
            "file".to_owned(),
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .await
        .map_err(|error| ErrorCode::InternalError(Some(format!("{error:?}"))))?;
    let (stream, _outcome) = file.read_via_stream(0);
    // Dropping the sender means no trailers.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(stream), trailers);
    Ok(response)
}
