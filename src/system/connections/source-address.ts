const mappedPrefix = '::ffff:';

/** The canonical form of an address: an IPv4 address that arrived on an IPv6 listener becomes plain IPv4. */
export function plainAddress(address: string): string {
	return address.startsWith(mappedPrefix) && address.includes('.') ? address.slice(mappedPrefix.length) : address;
}

/** Who an address stands for: an IPv6 host owns a whole /64, an IPv4 host its address. */
export function addressKey(address: string): string {
	const plain = plainAddress(address);
	if (!plain.includes(':')) return plain;
	const [head = '', tail] = plain.split('::');
	const groups = head === '' ? [] : head.split(':');
	const after = tail === undefined || tail === '' ? [] : tail.split(':');
	const full =
		tail === undefined
			? groups
			: [...groups, ...Array<string>(Math.max(0, 8 - groups.length - after.length)).fill('0'), ...after];
	return `${full.slice(0, 4).join(':')}::/64`;
}
