//! The passwords of Tirage's own roles.
//!
//! A component is bound to a role, and that role needs a password that the router knows and nobody
//! else. Where an operator gives none, it is derived from the one secret that both the router and
//! `tirage migrate` already have: the password in `DATABASE_URL`. Who knows that password can do
//! more than the role anyway; who knows the role's learns nothing about it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Config, Password};

/// The variable that holds a role's own address, where an operator manages the role:
/// `DATABASE_URL_TIRAGE_API` for `tirage_api`.
pub fn role_url_variable(role: &str) -> String {
    format!("DATABASE_URL_{}", role.to_uppercase())
}

/// How to connect as `role` to the database that `database` (`DATABASE_URL`) names.
///
/// If that is the role's own address it is used as it is. Else the user is `role` and the password
/// the lower-case hexadecimal HMAC-SHA256 of `tirage role <role>` under the bytes of the address's
/// password. An address without a password derives none: anybody could compute it.
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
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length is right");
    mac.update(b"tirage role ");
    mac.update(role.as_bytes());
    let mut hex = Vec::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            });
        }
    }
    Password::new(hex)
}

/// What the server stores for a password (`SCRAM-SHA-256$4096:...`, RFC 5803, with a random salt).
///
/// `ALTER ROLE ... PASSWORD` takes it in place of the password itself, which so never reaches the
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
