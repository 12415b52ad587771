#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A cluster's CA and a certificate for each node, for demonstrations: DIR/ca.crt,
# DIR/NODE.crt, DIR/NODE.key. The CA's key is gone at the end.
#
# usage: certificates.sh DIR NODE...
set -euo pipefail

dir=$1
shift
umask 077
ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${ec[@]}" -keyout "$dir/ca.key" -out "$dir/ca.crt" -days 2 \
	-subj "/CN=xfrmsync demo CA" 2>/dev/null
for node; do
	openssl req "${ec[@]}" -keyout "$dir/$node.key" -out "$dir/$node.csr" \
		-subj "/CN=$node" 2>/dev/null
	openssl x509 -req -in "$dir/$node.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
		-CAcreateserial -days 2 -out "$dir/$node.crt" 2>/dev/null \
		-extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$node")
done
rm -f "$dir/ca.key" "$dir"/*.csr "$dir"/*.srl
