//! Routes: method and path to action.

use http::header::ALLOW;
use http::{HeaderValue, Method};
use tirage_problem::{Kind, Problem};
use uuid::Uuid;

/// Action of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Health,
    CreateDescription,
    ListDescriptions,
    LatestDescription,
    CreateMedia,
    ListMedia,
    ReadMedia(Uuid),
    DeleteMedia(Uuid),
    CompleteMedia(Uuid),
    ReadTask(Uuid),
    RetryTask(Uuid),
    Live,
    AdmitToLive,
    Sweep,
}

/// Actions of one path, by method.
type Methods = &'static [(Method, fn(Uuid) -> Action)];

/// Routes; `{id}` matches a UUID.
const ROUTES: &[(&str, Methods)] = &[
    ("/health", &[(Method::GET, |_| Action::Health)]),
    ("/api/health", &[(Method::GET, |_| Action::Health)]),
    (
        "/api/description",
        &[
            (Method::GET, |_| Action::ListDescriptions),
            (Method::POST, |_| Action::CreateDescription),
        ],
    ),
    (
        "/api/description/latest",
        &[(Method::GET, |_| Action::LatestDescription)],
    ),
    (
        "/api/media",
        &[
            (Method::GET, |_| Action::ListMedia),
            (Method::POST, |_| Action::CreateMedia),
        ],
    ),
    (
        "/api/media/{id}",
        &[
            (Method::GET, Action::ReadMedia),
            (Method::DELETE, Action::DeleteMedia),
        ],
    ),
    (
        "/api/media/{id}/complete",
        &[(Method::POST, Action::CompleteMedia)],
    ),
    ("/api/tasks/{id}", &[(Method::GET, Action::ReadTask)]),
    (
        "/api/tasks/{id}/retry",
        &[(Method::POST, Action::RetryTask)],
    ),
    ("/api/live", &[(Method::GET, |_| Action::Live)]),
    (
        "/internal/live/admission",
        &[(Method::GET, |_| Action::AdmitToLive)],
    ),
    ("/jobs/sweep", &[(Method::POST, |_| Action::Sweep)]),
];

/// Finds the action for a method and a path. HEAD selects the action of GET.
///
/// # Errors
/// 404 for an unknown path, 405 with `Allow` for another method.
pub(crate) fn find(method: &Method, path: &str) -> Result<Action, Problem> {
    let (methods, id) = ROUTES
        .iter()
        .find_map(|(route, methods)| Some((methods, id_in(path, route)?)))
        .ok_or_else(|| Problem::new(Kind::NOT_FOUND))?;
    let wanted = match method {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    match methods.iter().find(|(method, _)| method == wanted) {
        Some((_, action)) => Ok(action(id)),
        None => {
            let allowed: Vec<_> = methods.iter().map(|(method, _)| method).collect();
            Err(Problem::new(Kind::METHOD_NOT_ALLOWED).header(ALLOW, allow(&allowed)))
        }
    }
}

/// Matches a path with a route. Returns its id, nil for a route without one; `None` for another path.
fn id_in(path: &str, route: &str) -> Option<Uuid> {
    let Some((before, after)) = route.split_once("{id}") else {
        return (path == route).then(Uuid::nil);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    // Only the form with hyphens, so that each resource has one address.
    (id.len() == 36).then(|| Uuid::parse_str(id).ok())?
}

fn allow(methods: &[&Method]) -> HeaderValue {
    let names: Vec<&str> = methods
        .iter()
        .flat_map(|method| match **method {
            Method::GET => ["GET", "HEAD"].as_slice(),
            Method::POST => &["POST"],
            Method::DELETE => &["DELETE"],
            _ => &[],
        })
        .copied()
        .collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_and_a_path_select_an_action() {
        assert_eq!(find(&Method::GET, "/health").unwrap(), Action::Health);
        assert_eq!(find(&Method::HEAD, "/api/health").unwrap(), Action::Health);
        assert_eq!(
            find(&Method::POST, "/api/description").unwrap(),
            Action::CreateDescription
        );
        assert_eq!(
            find(&Method::GET, "/api/description").unwrap(),
            Action::ListDescriptions
        );
    }

    #[test]
    fn paths_are_exact() {
        for path in [
            "/",
            "/api",
            "/api/description/",
            "/api/descriptions",
            "/API/health",
            "/health/x",
            "/api/media/",
            "/api/media/1",
            "/api/media/01990000-0000-7000-8000-000000000001/",
            "/api/media/{01990000-0000-7000-8000-00000000001}",
            "/api/media/01990000000070008000000000000001",
        ] {
            assert_eq!(
                find(&Method::GET, path).unwrap_err().kind(),
                Kind::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[test]
    fn ids_are_parsed_from_paths() {
        let id = "01990000-0000-7000-8000-000000000001";
        let uuid = Uuid::parse_str(id).unwrap();
        for (method, path, action) in [
            (
                Method::GET,
                format!("/api/media/{id}"),
                Action::ReadMedia(uuid),
            ),
            (
                Method::DELETE,
                format!("/api/media/{id}"),
                Action::DeleteMedia(uuid),
            ),
            (
                Method::POST,
                format!("/api/media/{id}/complete"),
                Action::CompleteMedia(uuid),
            ),
            (
                Method::POST,
                format!("/api/tasks/{id}/retry"),
                Action::RetryTask(uuid),
            ),
        ] {
            assert_eq!(find(&method, &path).unwrap(), action, "{path}");
        }
    }

    #[test]
    fn another_method_gets_405_with_allow() {
        let allowed = |method, path| {
            let problem = find(&method, path).unwrap_err();
            assert_eq!(problem.kind(), Kind::METHOD_NOT_ALLOWED);
            problem.into_response(None).headers()[ALLOW].clone()
        };
        assert_eq!(
            allowed(Method::DELETE, "/api/description"),
            "GET, HEAD, POST"
        );
        assert_eq!(allowed(Method::POST, "/health"), "GET, HEAD");
        assert_eq!(
            allowed(Method::OPTIONS, "/api/description/latest"),
            "GET, HEAD"
        );
    }
}
