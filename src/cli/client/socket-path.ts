/** The keys of a configuration that say where the admin socket is. */
interface SocketKeys {
	runtime_dir?: string;
	operations_api?: { socket?: { path?: string } };
}

/** One line `key: value` of a block; the value is empty when a block of its own follows. */
interface Entry {
	key: string;
	value: string;
	/** The lines below it that stand further in. */
	inner: string[];
}

/**
 * Loading the YAML library takes longer than asking the daemon. A file that says in plain words where the socket is, as
 * it mostly does, is understood without: blocks of `key: value`, texts that hold a slash, a flow map on one line. Whatever
 * is written otherwise (escapes, anchors, tags, several documents) answers null, and the library reads it.
 */
export function plainSocketKeys(text: string): SocketKeys | null {
	const entries = entriesOf(text.replace(/^---\r?\n/, '').split(/\r?\n/));
	if (entries === null) return null;
	const found: SocketKeys = {};
	for (const { key, value, inner } of entries) {
		if (key === 'runtime_dir') {
			const path = inner.length === 0 ? plainPath(value) : null;
			if (path === null || found.runtime_dir !== undefined) return null;
			found.runtime_dir = path;
		} else if (key === 'operations_api') {
			const api = operationsApi(value, inner);
			if (api === null || found.operations_api !== undefined) return null;
			found.operations_api = api;
		}
	}
	return found;
}

function operationsApi(value: string, inner: readonly string[]): { socket?: { path?: string } } | null {
	// A value on the key's own line is a flow map; it matters only if it names a socket.
	if (value !== '')
		return /^\{[^&*!"'\\]*\}$/.test(value) && !value.includes('socket') && inner.length === 0 ? {} : null;
	const entries = entriesOf(unindented(inner));
	const sockets = entries?.filter(({ key }) => key === 'socket');
	if (!sockets || sockets.length > 1) return null;
	const [socket] = sockets;
	if (!socket) return {};
	const parts = socket.value === '' ? entriesOf(unindented(socket.inner)) : flowEntries(socket);
	const paths = parts?.filter(({ key }) => key === 'path');
	if (!paths || paths.length > 1) return null;
	const [path] = paths;
	if (!path) return { socket: {} };
	const plain = path.inner.length === 0 ? plainPath(path.value) : null;
	return plain === null ? null : { socket: { path: plain } };
}

/** The keys of a block map, whose lines begin at the first column; null if it is anything else. */
function entriesOf(lines: readonly string[]): Entry[] | null {
	const entries: Entry[] = [];
	for (const line of lines) {
		if (/^\s*(#|$)/.test(line)) continue;
		if (/^ /.test(line)) {
			const last = entries.at(-1);
			if (!last) return null;
			last.inner.push(line);
			continue;
		}
		// A list below a key may begin at the key's own column.
		if (/^- /.test(line) && entries.at(-1)?.value === '') {
			entries.at(-1)?.inner.push(` ${line}`);
			continue;
		}
		const [, key, value] = /^(\w+):(?: +(.*?))? *$/.exec(line) ?? [];
		if (key === undefined) return null;
		entries.push({ key, value: withoutComment(value ?? ''), inner: [] });
	}
	return entries;
}

/** `{path: /run/x.sock, mode: "0660"}`, all on one line. */
function flowEntries({ value, inner }: Entry): Entry[] | null {
	const inside = inner.length === 0 ? /^\{([^{}[\]]*)\}$/.exec(value)?.[1] : undefined;
	const entries = inside?.split(',').map((part) => /^ *(\w+): +([\w./-]+|"[\w./-]+"|'[\w./-]+') *$/.exec(part));
	if (!entries || entries.includes(null)) return null;
	return entries.map((entry) => ({ key: entry?.[1] ?? '', value: entry?.[2] ?? '', inner: [] }));
}

/** The lines of a block, moved to the first column; a line that stands less far in than the first makes no map. */
function unindented(lines: readonly string[]): string[] {
	const depth = /^ */.exec(lines[0] ?? '')?.[0].length ?? 0;
	return lines.map((line) => (line.slice(0, depth).trim() === '' ? line.slice(depth) : `!${line}`));
}

const withoutComment = (value: string): string => value.replace(/(^|\s+)#.*$/, '');

/** A text with a slash is never taken for a number, a date or a truth value. */
function plainPath(value: string): string | null {
	const [, , quoted, bare] = /^(?:(["'])([\w./-]+)\1|([\w.-]*\/[\w./-]*))$/.exec(value) ?? [];
	return quoted ?? bare ?? null;
}
