#!/usr/bin/env bash
# Runs a bench that needs no broker and no Node inside an emulated machine, where it may open as many files as it wants and every
# instruction, also of the kernel, takes one nanosecond: its "CPU µs" are thousands of instructions, whatever else runs beside it.
#
#   cargo build --release --manifest-path benches/peers/Cargo.toml
#   WINGBEAT_BENCH_ROUNDS=1 benches/peers/emulated.sh growth connections
#
# A chart that is named in /tmp is printed at the end.
#
# Needs Debian's qemu-system-x86, cpio and busybox-static, 14 GiB of free memory for 50,000 connections, and half an hour: the emulator
# is about ten times slower than what it shows. The kernel is Debian's for clouds, which is downloaded; WINGBEAT_KERNEL names another.
set -euo pipefail

for tool in qemu-system-x86_64 cpio busybox; do
    command -v "$tool" >/dev/null || { echo "no $tool here: install qemu-system-x86, cpio and busybox-static" >&2; exit 1; }
done
bench=$(dirname "${BASH_SOURCE[0]}")/target/release/wingbeat-peers
[ -x "$bench" ] || { echo "no $bench: build it first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kernel() {
    if [ -n "${WINGBEAT_KERNEL:-}" ]; then echo "$WINGBEAT_KERNEL"; return; fi
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
    (cd "$work" && apt-get download -qq "$package" 2>/dev/null && dpkg -x ./linux-image-*.deb kernel)
    echo "$work"/kernel/boot/vmlinuz-*
}

# What the machine boots from: the bench, its libraries and a shell.
root=$work/root
mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp}
cp "$bench" "$root/bin/bench"
cp "$(command -v busybox)" "$root/bin/busybox"
ldd "$bench" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root/$(dirname "$library")"
    cp -L "$library" "$root/$library"
done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ip link set lo up
echo 2000000 >/proc/sys/fs/file-max
ulimit -n 60000
sysctl -qw net.ipv4.ip_local_port_range="1024 65001" net.core.somaxconn=65000
. /etc/settings
bench $BENCH
cat /tmp/*.svg 2>/dev/null
poweroff -f
INIT
chmod +x "$root/init"
{
    export -p | sed -n 's/^declare -x \(WINGBEAT_BENCH_\)/export \1/p'
    echo "BENCH='$*'"
} >"$root/etc/settings"
(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/root.gz"

qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -cpu max -smp 1 -m 12288 -nic none -nographic -no-reboot \
    -kernel "$(kernel)" -initrd "$work/root.gz" -append "console=ttyS0 panic=-1 quiet mitigations=off"
