import type { ListenRequest } from '../types.cjs';

const portMax = 65_535;

/** null for what Node refuses: it then says so itself. */
function readListenRequest(values: readonly unknown[]): ListenRequest | null {
	const last = values.at(-1);
	const callback = typeof last === 'function' ? (last as () => void) : null;
	const [first] = values;
	const backlog = toNumber(values[1]) ?? toNumber(values[2]);
	const options = backlog === null ? {} : { backlog };
	const none = { port: null, host: null, path: null, direct: false, reusePort: false, callback, options };
	if (first === undefined || first === null || typeof first === 'function') return { ...none, port: 0 };
	if (typeof first === 'object') return fromOptions(first as Record<string, unknown>, none);
	const port = toNumber(first);
	if (port === null) return typeof first === 'string' ? { ...none, path: first } : null;
	if (!isPort(port)) return null;
	return { ...none, port, host: typeof values[1] === 'string' && values[1] !== '' ? values[1] : null };
}

function fromOptions(given: Record<string, unknown>, none: ListenRequest): ListenRequest | null {
	if (given['_handle'] || given['handle'] || toNumber(given['fd']) !== null) return { ...none, direct: true };
	const options = { ...none.options } as Record<string, unknown>;
	for (const name of ['backlog', 'ipv6Only', 'readableAll', 'writableAll', 'signal']) {
		if (given[name] !== undefined) options[name] = given[name];
	}
	const reusePort = given['reusePort'] === true;
	const direct = Boolean(given['exclusive']) || reusePort;
	const request = { ...none, direct, reusePort, options };
	const asked = given['port'];
	if (asked === null || (asked === undefined && 'port' in given)) return { ...request, port: 0 };
	if (typeof asked === 'number' || typeof asked === 'string') {
		const port = toNumber(asked);
		if (port === null || !isPort(port)) return null;
		return { ...request, port, host: typeof given['host'] === 'string' && given['host'] ? given['host'] : null };
	}
	return typeof given['path'] === 'string' && given['path'] ? { ...request, path: given['path'] } : null;
}

/** As Node reads it: text that is a number is a port, any other text a path. */
function toNumber(value: unknown): number | null {
	if (typeof value !== 'number' && typeof value !== 'string') return null;
	const number = Number(value);
	return number >= 0 ? number : null;
}

const isPort = (port: number): boolean => Number.isInteger(port) && port <= portMax;

export = readListenRequest;
