//! XML of S3's responses: the text of each element, with the element's path.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

/// Upper bound on nesting; S3 needs five.
const MAX_DEPTH: usize = 16;

/// Error of parsing a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not a complete XML document in UTF-8.
    #[error("invalid response of the object store: not a complete XML document")]
    Document,
    /// An element or a header is missing.
    #[error("invalid response of the object store: {0} is missing")]
    Missing(&'static str),
}

/// Calls `end` at the end of each element, with the path from the root and the text before its first
/// child.
pub(crate) fn read(
    document: &[u8],
    mut end: impl FnMut(&[&str], &str) -> Result<(), ResponseError>,
) -> Result<(), ResponseError> {
    let document = str::from_utf8(document).map_err(|_| ResponseError::Document)?;
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut any = false;
    loop {
        match reader.read_event().map_err(|_| ResponseError::Document)? {
            Event::Start(element) if path.len() < MAX_DEPTH => {
                let name = element.local_name();
                let name = str::from_utf8(name.as_ref()).map_err(|_| ResponseError::Document)?;
                path.push(name.to_owned());
                text.clear();
                any = true;
            }
            Event::Start(_) => return Err(ResponseError::Document),
            Event::End(_) => {
                let names: Vec<_> = path.iter().map(String::as_str).collect();
                end(&names, &text)?;
                path.pop();
                text.clear();
            }
            Event::Text(part) => {
                text.push_str(&part.decode().map_err(|_| ResponseError::Document)?);
            }
            Event::CData(part) => {
                text.push_str(&part.decode().map_err(|_| ResponseError::Document)?);
            }
            Event::GeneralRef(entity) => push_entity(&mut text, &entity)?,
            Event::Eof if any && path.is_empty() => return Ok(()),
            Event::Eof => return Err(ResponseError::Document),
            _ => {}
        }
    }
}

/// Appends a predefined entity or a numeric character reference; any other entity is an error.
fn push_entity(text: &mut String, entity: &BytesRef<'_>) -> Result<(), ResponseError> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        text.push(character);
        return Ok(());
    }
    let name = entity.decode().map_err(|_| ResponseError::Document)?;
    text.push_str(resolve_xml_entity(&name).ok_or(ResponseError::Document)?);
    Ok(())
}
