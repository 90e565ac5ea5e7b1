//! A private apt: the machine's sources and keys, everything else in a folder of our own.
//!
//! It needs no root and leaves the system's package lists, cache and database as they are. Packages
//! are downloaded and unpacked, never installed: no maintainer script runs. apt itself checks each
//! package against the signed lists, and unsigned ones are refused whatever the machine's own
//! settings say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// apt with its state in a folder of our own.
pub(super) struct Apt {
    configuration: PathBuf,
}

/// One package in one version, as apt chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// Its version in Debian's notation.
    pub(super) version: String,
}

impl Apt {
    /// Sets up `folder` for the machine's own sources.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        Self::configured(folder, "")
    }

    /// Sets up `folder` for one source alone, given in deb822 notation (sources.list(5)).
    pub(super) fn with_source(folder: &Path, source: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let list = folder.join("only.sources");
        fs::write(&list, source)?;
        Self::configured(
            folder,
            &format!(
                "Dir::Etc::SourceList {};\nDir::Etc::SourceParts \"/dev/null\";\n",
                quoted(&list)
            ),
        )
    }

    fn configured(folder: &Path, sources: &str) -> Result<Self> {
        let state = folder.join("state");
        let cache = folder.join("cache");
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(cache.join("archives/partial"))?;
        let configuration = folder.join("apt.conf");
        // Read with `-c`, after the machine's own files, so that these win (apt.conf(5)).
        fs::write(
            &configuration,
            format!(
                "{sources}\
                 Dir::State {state};\n\
                 Dir::State::status \"/var/lib/dpkg/status\";\n\
                 Dir::Cache {cache};\n\
                 Debug::NoLocking \"true\";\n\
                 Acquire::Languages \"none\";\n\
                 Acquire::Retries \"3\";\n\
                 Acquire::AllowInsecureRepositories \"false\";\n\
                 APT::Get::AllowUnauthenticated \"false\";\n\
                 APT::Sandbox::User \"\";\n\
                 #clear APT::Update::Pre-Invoke;\n\
                 #clear APT::Update::Post-Invoke;\n\
                 #clear APT::Update::Post-Invoke-Success;\n",
                state = quoted(&state),
                cache = quoted(&cache),
            ),
        )?;
        Ok(Self { configuration })
    }

    /// Fetches the package lists.
    pub(super) fn update(&self) -> Result<()> {
        // One unreachable third-party source is no reason to stop: what matters is whether the
        // packages that we want are known afterwards.
        if let Err(error) = shell::run(self.apt("apt-get").args(["-q", "update"])) {
            crate::progress::note(format!("apt-get update complained: {error:#}"));
        }
        Ok(())
    }

    /// The version of `package` that apt would install, if it knows any.
    pub(super) fn candidate(&self, package: &str) -> Result<Option<Package>> {
        let policy = shell::output(self.apt("apt-cache").args(["policy", package]))?;
        Ok(parse_candidate(&policy).map(|version| Package {
            name: package.to_owned(),
            version: version.to_owned(),
        }))
    }

    /// The names of the packages that `package` depends on directly.
    pub(super) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let printed = shell::output(self.apt("apt-cache").args(["depends", package]))?;
        Ok(parse_dependencies(&printed))
    }

    /// What `packages` need that this machine hasn't, themselves included.
    pub(super) fn plan(&self, packages: &[&str]) -> Result<Vec<Package>> {
        let simulated = shell::output(
            self.apt("apt-get")
                // Reinstall: one that is installed must be in the plan too, since it is unpacked
                // into a tree of its own.
                .args([
                    "--simulate",
                    "--reinstall",
                    "--no-install-recommends",
                    "install",
                ])
                .args(packages),
        )?;
        let plan = parse_plan(&simulated);
        for package in packages {
            if !plan.iter().any(|planned| planned.name == *package) {
                bail!("apt doesn't offer package {package}");
            }
        }
        Ok(plan)
    }

    /// Downloads `packages` into folder `into` and unpacks them below folder `root`.
    pub(super) fn unpack(&self, packages: &[Package], into: &Path, root: &Path) -> Result<()> {
        fs::create_dir_all(into)?;
        fs::create_dir_all(root)?;
        shell::run(
            self.apt("apt-get")
                .args(["-q", "download"])
                .args(
                    packages
                        .iter()
                        .map(|package| format!("{}={}", package.name, package.version)),
                )
                .current_dir(into),
        )?;
        for entry in fs::read_dir(into)? {
            let deb = entry?.path();
            shell::run(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .arg(&deb)
                    .arg(root),
            )?;
            fs::remove_file(&deb).with_context(|| format!("cannot remove {}", deb.display()))?;
        }
        Ok(())
    }

    /// The base address of the Debian archive that the machine's own sources name, if they name one.
    pub(super) fn debian_archive(&self) -> Result<Option<String>> {
        let printed = shell::output(self.apt("apt-get").args([
            "indextargets",
            "--format",
            "$(ORIGIN)|$(LABEL)|$(SITE)",
            "Identifier: Packages",
        ]))?;
        Ok(parse_archive(&printed))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // The output is read by us.
        command
            .env("LC_ALL", "C.UTF-8")
            .arg("-c")
            .arg(&self.configuration);
        command
    }
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// Lines such as `Inst rustc-web [1.85.0] (1.96.0+dfsg1-1 Debian-Security:12/oldstable [amd64])`;
/// the brackets hold the installed version, where there is one.
fn parse_plan(simulated: &str) -> Vec<Package> {
    simulated
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
            let (_, chosen) = rest.split_once('(')?;
            Some(Package {
                name: name.to_owned(),
                version: chosen.split_whitespace().next()?.to_owned(),
            })
        })
        .collect()
}

fn parse_candidate(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
}

fn parse_dependencies(printed: &str) -> Vec<String> {
    printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .map(ToOwned::to_owned)
        .collect()
}

fn parse_archive(printed: &str) -> Option<String> {
    printed
        .lines()
        .find_map(|line| line.strip_prefix("Debian|Debian|"))
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_is_read_from_a_simulation() {
        let simulated = "\
NOTE: This is only a simulation!
The following NEW packages will be installed:
  lld-22 rustc-web
Remv rust-llvm [1.63.0+dfsg1-2]
Inst libllvm22 (1:22.1.8-1~deb12u1 Debian-Security:12/oldstable-security [amd64])
Inst lld-22 [1:22.1.7-1] (1:22.1.8-1~deb12u1 Debian-Security:12/oldstable-security [amd64]) []
Inst rust-web-src (1.96.0+dfsg1-1~deb12u2 Debian-Security:12/oldstable-security [all])
Conf libllvm22 (1:22.1.8-1~deb12u1 Debian-Security:12/oldstable-security [amd64])
";
        let plan: Vec<(String, String)> = parse_plan(simulated)
            .into_iter()
            .map(|package| (package.name, package.version))
            .collect();
        let expected = [
            ("libllvm22", "1:22.1.8-1~deb12u1"),
            ("lld-22", "1:22.1.8-1~deb12u1"),
            ("rust-web-src", "1.96.0+dfsg1-1~deb12u2"),
        ];
        assert_eq!(
            plan,
            expected.map(|(name, version)| (name.into(), version.into()))
        );
    }

    #[test]
    fn candidate_is_read_from_a_policy() {
        let known = "wasi-libc:\n  Installed: (none)\n  Candidate: 0.0~git20241209.574b88d-2\n";
        assert_eq!(parse_candidate(known), Some("0.0~git20241209.574b88d-2"));
        assert_eq!(
            parse_candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(parse_candidate(""), None);
    }

    #[test]
    fn dependencies_leave_out_what_is_only_recommended() {
        let printed = "rust-web-llvm\n  Depends: libc6\n  Depends: llvm-22\n  Conflicts: <x>\n  Recommends: y\n";
        assert_eq!(parse_dependencies(printed), ["libc6", "llvm-22"]);
    }

    #[test]
    fn archive_is_debians_own_and_not_the_security_one() {
        let printed = "Google|Google|https://packages.example\n\
                       Debian|Debian-Security|http://deb.example/debian-security\n\
                       Debian|Debian|http://deb.example/debian\n";
        assert_eq!(
            parse_archive(printed).as_deref(),
            Some("http://deb.example/debian")
        );
        assert_eq!(parse_archive(""), None);
    }
}
