//! Which action a request asks for.

use http::header::ALLOW;
use http::{HeaderValue, Method};
use tirage_problem::{Kind, Problem};

/// What this function can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Health,
    CreateDescription,
    ListDescriptions,
    LatestDescription,
}

const ROUTES: &[(Method, &str, Action)] = &[
    (Method::GET, "/health", Action::Health),
    (Method::GET, "/api/health", Action::Health),
    (Method::GET, "/api/description", Action::ListDescriptions),
    (Method::POST, "/api/description", Action::CreateDescription),
    (
        Method::GET,
        "/api/description/latest",
        Action::LatestDescription,
    ),
];

/// The action for this method and path. HEAD asks for what GET does.
///
/// # Errors
/// 404 for a path that isn't there, 405 with `Allow` for a method that this path hasn't.
pub(crate) fn find(method: &Method, path: &str) -> Result<Action, Problem> {
    let wanted = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut allowed = Vec::new();
    for (method, _, action) in ROUTES.iter().filter(|(_, route, _)| *route == path) {
        if method == wanted {
            return Ok(*action);
        }
        allowed.push(method);
    }
    if allowed.is_empty() {
        return Err(Problem::new(Kind::NOT_FOUND));
    }
    Err(Problem::new(Kind::METHOD_NOT_ALLOWED).header(ALLOW, allow(&allowed)))
}

fn allow(methods: &[&Method]) -> HeaderValue {
    let names: Vec<&str> = methods
        .iter()
        .flat_map(|method| match **method {
            Method::GET => ["GET", "HEAD"].as_slice(),
            Method::POST => &["POST"],
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
    fn a_path_and_a_method_make_an_action() {
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
        ] {
            assert_eq!(
                find(&Method::GET, path).unwrap_err().kind(),
                Kind::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
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
