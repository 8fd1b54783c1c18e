import { isIP } from 'node:net';

/**
 * Browsers are no callers of ours. They say so by an Origin; and a page whose name was pointed at a loopback address (DNS
 * rebinding) says so by a Host that is a name: over plain HTTP, which is loopback alone, only addresses, `localhost` and the
 * configured host are taken. Over TLS the certificate does not match such a name, so any Host goes.
 *
 * Answers what is wrong, or null.
 */
export function browserFault(
	headers: { origin?: string | undefined; host?: string | undefined },
	listener: { rebindable: boolean; host: string | null },
): string | null {
	if (headers.origin !== undefined) return 'Requests from web pages are refused (header Origin).';
	if (!listener.rebindable || headers.host === undefined) return null;
	const name = hostName(headers.host);
	if (name === 'localhost' || name === listener.host?.toLowerCase() || isIP(name) !== 0) return null;
	return `Host '${name}' is not served here; use the address or localhost.`;
}

/** Without port and brackets. */
function hostName(host: string): string {
	const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host) ?? [];
	return (bracketed ?? plain ?? host).toLowerCase();
}

/** {@link browserFault} of one listener. Callers keep to one spelling of Host, so the last good one is not taken apart again. */
export function browserCheck(
	listener: Parameters<typeof browserFault>[1],
): (headers: Parameters<typeof browserFault>[0]) => string | null {
	let served: string | undefined;
	return (headers) => {
		if (headers.origin === undefined && headers.host !== undefined && headers.host === served) return null;
		const fault = browserFault(headers, listener);
		if (fault === null) served = headers.host;
		return fault;
	};
}
