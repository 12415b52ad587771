# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# For scripts that build and run the tool on a big-endian machine; sourced, in the tree.
#
# Compiler and C library are Debian's cross packages (install-deps.sh check). The other
# libraries come from the archive's s390x packages, unpacked into the cache: no foreign
# architecture is added to this machine. The cache is ${XFRMSYNC_CACHE:-/var/cache/xfrmsync}.
# shellcheck disable=SC2034 # whoever sources it uses them

s390x_triplet=s390x-linux-gnu
s390x_packages=(libcmocka0 libcmocka-dev libinih1 libinih-dev libjansson4 libjansson-dev
	libmnl0 libmnl-dev libsodium23 libsodium-dev libssl3 libssl-dev libclang-rt-14-dev
	libcap-ng0 libcap-ng-dev libseccomp2 libseccomp-dev)
# What another list has fetched is not all of it.
s390x_root=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/s390x-$(cksum <<<"${s390x_packages[*]}" | cut -d " " -f 1)
s390x_cflags="-I$s390x_root/usr/include/$s390x_triplet"
s390x_ldflags="-L$s390x_root/usr/lib/$s390x_triplet -Wl,-rpath-link,$s390x_root/usr/lib/$s390x_triplet"
# It looks for headers beside its run-time libraries.
s390x_clang="clang-14 --target=$s390x_triplet -resource-dir=$s390x_root/clang -isystem /usr/$s390x_triplet/include"

# As apt does it, signatures and all, but with lists, state and cache of its own.
s390x_fetch() { # DIR TMP
	local apt

	chmod 755 "$2"	# apt gives up root
	mkdir -p "$2/state/lists/partial" "$2/cache/archives/partial" "$2/debs"
	: >"$2/status"
	apt=(apt-get -qq -o "Dir::State=$2/state" -o "Dir::State::status=$2/status"
		-o "Dir::Cache=$2/cache" -o APT::Architecture=s390x -o APT::Architectures=s390x)
	echo "# fetching ${s390x_packages[*]} for s390x"
	# A third-party source that does not answer must not stop us: download will tell.
	"${apt[@]}" update >&2 || echo "# apt-get update failed in part; going on"
	(cd "$2/debs" && "${apt[@]}" download "${s390x_packages[@]}" 2>&1 |
		sed '/unsandboxed as root/d' >&2) || return
	rm -rf "$1.part"
	find "$2/debs" -name '*.deb' -exec dpkg -x {} "$1.part" \;
	mkdir "$1.part/clang"
	ln -s "$(clang-14 -print-resource-dir)/include" "$1.part/clang/include"
	ln -s "$(cd "$1.part/clang" && echo ../usr/lib/llvm-14/lib/clang/*/lib)" "$1.part/clang/lib"
	mv "$1.part" "$1"
}

# The libraries are there, or it fails.
s390x_get() {
	local tmp rc=0

	mkdir -p "${s390x_root%/*}" || return
	exec 9>"$s390x_root.lock"
	flock 9
	if [ ! -d "$s390x_root" ]; then
		tmp=$(mktemp -d) && s390x_fetch "$s390x_root" "$tmp"
		rc=$?
		rm -rf "$tmp"
	fi
	exec 9>&-
	return $rc
}

s390x_make() { # ARGUMENTS of make, in tools/
	PKG_CONFIG_LIBDIR=$s390x_root/usr/lib/$s390x_triplet/pkgconfig PKG_CONFIG_SYSROOT_DIR=$s390x_root \
		make --no-print-directory -s -j2 -C tools "$@"
}

s390x_run() { # PROGRAM ARGUMENTS...
	qemu-s390x -L "/usr/$s390x_triplet" \
		-E "LD_LIBRARY_PATH=$s390x_root/usr/lib/$s390x_triplet" "$@"
}
