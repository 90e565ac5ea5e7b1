//! The little of XML that S3's answers need: which text stands where.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

/// S3 nests no deeper than five.
const MAX_DEPTH: usize = 16;

/// Why an answer can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not a whole XML document in UTF-8.
    #[error("the object store's answer is no whole XML document")]
    Document,
    /// Something isn't there that has to be.
    #[error("the object store's answer lacks {0}")]
    Missing(&'static str),
}

/// Calls `end` for each element when it ends, inner ones first: with the names from the root to it, and
/// with the text that it begins with.
pub(crate) fn read(
    document: &[u8],
    mut end: impl FnMut(&[&str], &str) -> Result<(), AnswerError>,
) -> Result<(), AnswerError> {
    let document = str::from_utf8(document).map_err(|_| AnswerError::Document)?;
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut any = false;
    loop {
        match reader.read_event().map_err(|_| AnswerError::Document)? {
            Event::Start(element) if path.len() < MAX_DEPTH => {
                let name = element.local_name();
                let name = str::from_utf8(name.as_ref()).map_err(|_| AnswerError::Document)?;
                path.push(name.to_owned());
                text.clear();
                any = true;
            }
            Event::Start(_) => return Err(AnswerError::Document),
            Event::End(_) => {
                let names: Vec<_> = path.iter().map(String::as_str).collect();
                end(&names, &text)?;
                path.pop();
                text.clear();
            }
            Event::Text(part) => {
                text.push_str(&part.decode().map_err(|_| AnswerError::Document)?);
            }
            Event::CData(part) => {
                text.push_str(&part.decode().map_err(|_| AnswerError::Document)?);
            }
            Event::GeneralRef(entity) => push_entity(&mut text, &entity)?,
            Event::Eof if any && path.is_empty() => return Ok(()),
            Event::Eof => return Err(AnswerError::Document),
            _ => {}
        }
    }
}

/// One of XML's own entities, or a character by number; others are not expanded.
fn push_entity(text: &mut String, entity: &BytesRef<'_>) -> Result<(), AnswerError> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        text.push(character);
        return Ok(());
    }
    let name = entity.decode().map_err(|_| AnswerError::Document)?;
    text.push_str(resolve_xml_entity(&name).ok_or(AnswerError::Document)?);
    Ok(())
}
