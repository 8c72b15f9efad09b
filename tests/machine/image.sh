#!/bin/bash
# Builds the system that the tests in this folder start in a container: Debian with systemd and, in the place of what
# Amazon Linux has and Debian has not, stand-ins that write down how they were called. Needs root, debootstrap and a few
# minutes. $1: folder to build into.
set -euo pipefail

readonly target=${1:?folder to build into} suite=bookworm
root=$target/root.part
rm -rf "$root"
mkdir -p "$target"

debootstrap --variant=minbase \
  --include=systemd-sysv,udev,dbus,python3-venv,curl,e2fsprogs,logrotate \
  "$suite" "$root"
put() { mkdir -p "$(dirname "$root/$1")" && cat > "$root/$1"; }

put etc/hostname <<< machine
# Nothing comes from the network: the package index is beside the user data.
put etc/pip.conf <<< $'[global]\nindex-url = file:///config/index'

# ---- cloud-init: runs the user data once for each machine ----
put etc/systemd/system/user-data.service <<'UNIT'
[Unit]
ConditionPathExists=!/var/lib/cloud/done
[Service]
Type=oneshot
ExecStartPre=/bin/mkdir -p /var/lib/cloud/data
ExecStartPre=/bin/cp /config/instance-id /var/lib/cloud/data/
ExecStartPre=/bin/touch /var/lib/cloud/done
ExecStart=/bin/bash /config/user-data
StandardOutput=append:/var/log/cloud-init-output.log
StandardError=inherit
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
UNIT

# ---- the container: its devices are those that it is given, and the kernel's settings are not its own ----
put etc/systemd/system/systemd-udevd.service.d/container.conf <<< $'[Unit]\nConditionPathIsReadWrite='
for unit in systemd-sysctl systemd-modules-load systemd-udev-trigger systemd-networkd systemd-random-seed; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
put etc/systemd/system/coldplug.service <<'UNIT'
[Unit]
DefaultDependencies=no
After=systemd-udevd.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'udevadm trigger --settle --action=change $(cut -d" " -f1 /config/disks)'
# systemd takes the kernel's word for a device, which does not reach it here, or udev's when it reads its units.
ExecStart=/bin/systemctl daemon-reload
[Install]
WantedBy=sysinit.target
UNIT
put usr/local/bin/lsblk <<< $'#!/bin/bash\ncat /config/disks'

# ---- AWS: one volume and one interface ----
put usr/local/bin/aws <<'STUB'
#!/bin/bash
echo "$*" >> /var/log/aws.log
state=/run/aws; mkdir -p $state
case "$1 $2" in
  "ec2 describe-network-interfaces") what=interface ;;
  "ec2 describe-volumes") what=volume ;;
  "ec2 attach-network-interface") cp /var/lib/cloud/data/instance-id $state/interface; exit ;;
  "ec2 attach-volume") cp /var/lib/cloud/data/instance-id $state/volume; exit ;;
  *) exit 2 ;;
esac
if [[ $* == *SnapshotId* ]]; then cat /config/snapshot-id; exit; fi
if [[ -e $state/$what ]]; then echo "in-use $(<$state/$what)"; else echo "available None"; fi
STUB
put usr/bin/dnf <<'STUB'
#!/bin/bash
echo "$*" >> /var/log/dnf.log
STUB
put opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl <<'STUB'
#!/bin/bash
echo "$*" >> /var/log/cloudwatch-agent.log
STUB
mkdir -p "$root/opt/aws/amazon-cloudwatch-agent/etc"
put etc/systemd/system/amazon-ssm-agent.service <<< $'[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true'
chmod 755 "$root/usr/local/bin/lsblk" "$root/usr/local/bin/aws" "$root/usr/bin/dnf" \
  "$root/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"

chroot "$root" systemctl enable --quiet user-data.service coldplug.service
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$target/root"
mv "$root" "$target/root"
