#!/bin/sh
# Makes the secrets of the composition once, as files in the folder secrets beside this script.
# What is there already is left as it is, so it may be called again.
#
# The files are readable for all and the folder is not: the roles run as a user that this machine
# does not know, and compose hands files over with the rights that they have here.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder="$here/secrets"
mkdir -p -m 700 "$folder"
chmod 700 "$folder"
umask 077

# random BYTES: that many random bytes in hexadecimal digits.
random() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME TEXT: writes a file that is not there yet.
keep() {
    [ -e "$folder/$1" ] && return 0
    printf '%s\n' "$2" >"$folder/$1.part"
    chmod 644 "$folder/$1.part"
    mv "$folder/$1.part" "$folder/$1"
    printf 'made %s\n' "secrets/$1"
}

keep secret-key "$(random 32)"
keep admin-token "muster_$(random 32)"
keep postgres-password "$(random 24)"
keep clickhouse-password "$(random 24)"
keep grafana-admin-password "$(random 16)"
keep grafana-reader-password "$(random 24)"

postgres=$(cat "$folder/postgres-password")
clickhouse=$(cat "$folder/clickhouse-password")
hashed=$(printf '%s' "$clickhouse" | sha256sum | cut -c1-64)
keep postgres-dsn "postgres://muster:$postgres@postgres:5432/muster?sslmode=disable"
keep clickhouse-dsn "clickhouse://muster:$clickhouse@clickhouse:9000/default"
keep clickhouse-users.xml "<clickhouse>
  <users>
    <default remove=\"remove\"/>
    <muster>
      <password_sha256_hex>$hashed</password_sha256_hex>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </muster>
  </users>
</clickhouse>"

# Not everybody has these: compose wants the files, and Muster reads those that .env names.
for name in sso-client-secret sign-in-client-secret anvil-credentials.json email-password webhook-secret; do
    keep "$name" ''
done

if [ ! -e "$here/.env" ]; then
    cp "$here/.env.example" "$here/.env"
    echo 'made .env: look through it'
fi
