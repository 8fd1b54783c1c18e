import { isIPv4 } from 'node:net';

/** Whether only this host can reach the address. A name other than localhost may mean anything, so it is not. */
export function isLoopback(host: string): boolean {
	const plain = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
	return plain === 'localhost' || plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

/** Whether two hosts to listen on can stand for the same address. */
export function listensOnSame(one: string, other: string): boolean {
	const everywhere = (host: string) => host === '0.0.0.0' || host === '::';
	return one === other || everywhere(one) || everywhere(other);
}
