#!/bin/sh
# Makes a container image with the Python that Lambda runs, for `sam local invoke` where AWS's own images cannot
# be pulled: Debian's Python, awslambdaric and boto3 in the places where Lambda has them.
# Needs root, debootstrap, docker, and Python with pip. Usage: local-invoke-image.sh <image name> [<URL of moto>]
set -eu

image=${1:?usage: local-invoke-image.sh <image name> [<URL of moto>]}
endpoint=${2:-http://host.docker.internal:5000}
repository=$(cd "$(dirname "$0")/.." && pwd)
runtime=$(sed -n 's/^ *Runtime: python\([0-9.]*\)$/\1/p' "$repository/template.yaml")
suite=forky # the first Debian with Python 3.14
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# Older debootstraps do not know newer suites by name; all of them share the script of `sid`.
debootstrap --variant=minbase --include="python$runtime,ca-certificates" \
    "$suite" "$root" "$mirror" /usr/share/debootstrap/scripts/sid
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

mkdir -p "$root/var/runtime" "$root/var/task" "$root/opt"
"${REMORA_PYTHON:-python3}" -m pip --disable-pip-version-check install --quiet --target "$root/var/runtime" \
    --python-version "$runtime" --implementation cp --only-binary=:all: \
    --platform "manylinux_2_28_$(uname -m)" --platform "manylinux2014_$(uname -m)" \
    awslambdaric boto3

# The runtime emulator starts this, as Lambda does.
cat > "$root/var/runtime/bootstrap" <<BOOTSTRAP
#!/bin/sh
export PYTHONPATH=/var/task:/opt/python:/var/runtime
exec python$runtime -m awslambdaric "\$_HANDLER"
BOOTSTRAP
chmod 755 "$root/var/runtime/bootstrap"

# Functions in this image ask moto on the host instead of AWS.
tar -C "$root" -cf - . | docker import --change 'WORKDIR /var/task' \
    --change "ENV AWS_ENDPOINT_URL=$endpoint" - "$image"
