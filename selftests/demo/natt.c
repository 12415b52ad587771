// SPDX-License-Identifier: GPL-2.0
/*
 * In: UDP packets at port 4500 of this network namespace.
 * Out: those that carry ESP go to the kernel's XFRM (RFC 3948); an IKE daemon would hold
 *      this socket. Ends on a signal.
 */
#include <err.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(4500) };
	int type = UDP_ENCAP_ESPINUDP;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof(type)))
		err(1, "port 4500");
	pause();
	return 0;
}
