//! Properties that hold for all routes and paths. Single cases are in `tests/routing`.

use proptest::prelude::*;

use super::*;

/// Returns the kind of each segment and of the end, the most precise kind first.
fn precision(route: &Route) -> Vec<u8> {
    let segments = route.segments().iter().map(|segment| match segment {
        Segment::Literal(_) => 0,
        Segment::Parameter(_) => 1,
    });
    segments
        .chain([if route.is_wildcard() { 3 } else { 2 }])
        .collect()
}

/// `true` if the route matches the path; compares segment by segment.
fn matches(route: &Route, path: &str) -> bool {
    let trimmed = path.trim_matches('/');
    let steps: Vec<_> = match trimmed {
        "" => Vec::new(),
        _ => trimmed.split('/').collect(),
    };
    let enough = match route.is_wildcard() {
        true => steps.len() >= route.segments().len(),
        false => steps.len() == route.segments().len(),
    };
    enough
        && route
            .segments()
            .iter()
            .zip(steps)
            .all(|(segment, step)| match segment {
                Segment::Literal(text) => **text == *step,
                Segment::Parameter(_) => true,
            })
}

fn route() -> impl Strategy<Value = Route> {
    let segment = prop_oneof!["[ab]", Just(":x".to_owned()), Just(":y".to_owned())];
    let ending = prop_oneof![Just(""), Just("/"), Just("/...")];
    (prop::collection::vec(segment, 0..4), ending)
        .prop_map(|(segments, ending)| format!("/{}{ending}", segments.join("/")))
        .prop_filter_map("two parameters of one name", |text| text.parse().ok())
}

proptest! {
    #[test]
    fn the_most_precise_matching_route_is_found(
        all in prop::collection::vec(route(), 0..12),
        path in "/{0,2}([abc](/{1,2})){0,4}[abc]?",
    ) {
        let (routes, shadowed) = Routes::build(all.iter().cloned().zip(0_usize..));
        let best = all.iter().filter(|route| matches(route, &path)).map(precision).min();
        let found = routes.find(&path);
        prop_assert_eq!(found.map(|found| precision(found.route())), best);
        prop_assert_eq!(routes.iter().count() + shadowed.len(), all.len());
        for lost in shadowed {
            prop_assert_eq!(precision(&lost.route), precision(&lost.by));
            let identical = lost.route.as_str() == lost.by.as_str();
            prop_assert_eq!(identical, lost.value < lost.by_value);
        }
    }

    #[test]
    fn captures_and_path_info_reassemble_the_path(
        route in route(),
        path in "/[abc]{1,2}(/[abc]){0,4}/?",
    ) {
        let (routes, _) = Routes::build([(route, ())]);
        if let Some(found) = routes.find(&path) {
            let mut captures = found.captures();
            let mut again = String::new();
            for segment in found.route().segments() {
                again.push('/');
                again.push_str(match segment {
                    Segment::Literal(text) => text,
                    Segment::Parameter(_) => captures.next().unwrap().1,
                });
            }
            again.push_str(&found.path_info());
            prop_assert_eq!(again.trim_end_matches('/'), path.trim_end_matches('/'));
        }
    }

    #[test]
    fn no_text_makes_a_route_or_a_path_panic(text in any::<String>(), path in any::<String>()) {
        if let Ok(route) = text.parse::<Route>() {
            let (routes, _) = Routes::build([(route, ())]);
            for path in [&path, &text] {
                if let Some(found) = routes.find(path) {
                    let _ = (found.captures().count(), found.path_info());
                }
            }
        }
    }
}
