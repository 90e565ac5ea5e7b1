#!/usr/bin/env bash
# Copies the packages in deps/ from the crates whose versions the lock files pin.
#
#     wit/vendor.sh           copies them
#     wit/vendor.sh --check   fails if deps/ differs from the crates
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints the source folder of crate $2 in the version of the lock file next to manifest $1.
source_of() {
  cargo metadata --locked --format-version 1 --manifest-path "$1" |
    node -e '
      const { packages } = JSON.parse(require("fs").readFileSync(0));
      console.log(require("path").dirname(packages.find((p) => p.name === process.argv[1]).manifest_path));
    ' "$2"
}

host=$(source_of Cargo.toml wasmtime-wasi-http)
sdk=$(source_of functions/Cargo.toml spin-sdk)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

for name in cli clocks filesystem http io random sockets; do
  cp "$host/wit/deps/$name.wit" "$fresh/wasi-$name-0.2.wit"
done
for name in cli clocks filesystem http random sockets; do
  cp "$host/src/p3/wit/deps/$name.wit" "$fresh/wasi-$name-0.3.wit"
done
cp "$sdk/wit/deps/spin-variables@3.0.0/variables.wit" "$fresh/spin-variables.wit"

if [[ ${1-} == --check ]]; then
  diff --recursive wit/deps "$fresh"
else
  rm -rf wit/deps
  cp -r "$fresh" wit/deps
  chmod -R u=rwX,go=rX wit/deps
fi
