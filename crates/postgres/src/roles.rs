//! The passwords of Tirage's own roles.
//!
//! A component is bound to a role, whose password only the router knows. If the operator sets none, it is
//! derived from a secret that both the router and `tirage migrate` have: the password in `DATABASE_URL`.
//! That password gives more rights than the role's, and can't be computed from it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Config, Password};

/// Returns the variable with a role's own address, for roles that the operator manages:
/// `DATABASE_URL_TIRAGE_API` for `tirage_api`.
pub fn role_url_variable(role: &str) -> String {
    format!("DATABASE_URL_{}", role.to_uppercase())
}

/// Returns the address of `role` in the database that `database` (`DATABASE_URL`) names.
///
/// The role's own address is returned unchanged. Otherwise the user is `role`, and the password is the
/// lower-case hexadecimal HMAC-SHA256 of `tirage role <role>` with the address's password as the key. An
/// address without a password derives none, because every client could compute it.
pub fn role_config(database: &Config, role: &str) -> Config {
    if database.user() == role {
        return database.clone();
    }
    database.with_user(
        role,
        database
            .password()
            .map(|secret| derived_password(secret, role)),
    )
}

fn derived_password(secret: &Password, role: &str) -> Password {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length is valid");
    mac.update(b"tirage role ");
    mac.update(role.as_bytes());
    Password::new(hex::encode(mac.finalize().into_bytes()))
}

/// Returns the verifier that the server stores for a password (`SCRAM-SHA-256$4096:...`, RFC 5803, with a
/// random salt).
///
/// `ALTER ROLE ... PASSWORD` accepts it in place of the password, which then never appears in the
/// server's logs.
pub fn scram_verifier(password: &Password) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_its_own_password_and_the_same_place() {
        let owner: Config = "postgres://owner:secret@db.example/app?sslmode=require"
            .parse()
            .unwrap();
        let role = role_config(&owner, "tirage_api");
        assert_eq!(
            role.to_string(),
            "postgres://tirage_api@db.example:5432/app"
        );
        // printf 'tirage role tirage_api' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            role.password().unwrap().as_bytes(),
            b"9d840abc806d8dc85728cd808258ec2e2a7d93b70b0b64d3cfcef2828779eb45"
        );
    }

    #[test]
    fn an_address_of_the_role_itself_is_kept() {
        let own: Config = "postgres://tirage_api:mine@db.example/app".parse().unwrap();
        assert!(
            role_config(&own, "tirage_api")
                .password()
                .unwrap()
                .matches(b"mine")
        );
    }

    #[test]
    fn no_password_derives_no_password() {
        let owner: Config = "postgres://owner@db.example/app".parse().unwrap();
        assert!(role_config(&owner, "tirage_api").password().is_none());
    }

    #[test]
    fn the_variable_is_named_after_the_role() {
        assert_eq!(role_url_variable("tirage_api"), "DATABASE_URL_TIRAGE_API");
    }
}
