import { gunzipSync, gzipSync } from 'node:zlib';
import { messageOf, RollcallError } from '../../errors.js';

/** Archives of a few small files, as tar(1) and gzip(1) have them (POSIX ustar). Read as strictly as they are written. */

export interface ArchivedFile {
	name: string;
	content: Buffer;
	mode: number;
}

/** Most bytes of an archive, packed or unpacked. */
export const archiveBytesMax = 4 * 1024 * 1024;
const blockBytes = 512;
/** Fields of a header: where each begins, and its length. */
const fields = {
	name: [0, 100],
	mode: [100, 8],
	user: [108, 8],
	group: [116, 8],
	size: [124, 12],
	changed: [136, 12],
	checksum: [148, 8],
	type: [156, 1],
	magic: [257, 8],
	prefix: [345, 155],
} as const;
type Field = keyof typeof fields;

const kinds: Readonly<Record<string, string>> = {
	'1': 'a hard link',
	'2': 'a symbolic link',
	'3': 'a device',
	'4': 'a device',
	'6': 'a named pipe',
};

/** `changedAt`: seconds since 1970. */
export function packArchive(files: readonly ArchivedFile[], changedAt: number): Buffer {
	const blocks = files.flatMap(({ name, content, mode }) => [
		header(name, content.length, mode, changedAt),
		content,
		Buffer.alloc(paddingOf(content.length)),
	]);
	return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]));
}

/**
 * The files of an archive by their names; `allowed` are the names that may be there, `folders` those of folders, which are
 * passed over. Throws `invalid` for an archive that holds anything else, the same twice, or is damaged.
 */
export function unpackArchive(
	packed: Buffer,
	allowed: readonly string[],
	folders: readonly string[],
): Map<string, Buffer> {
	const bytes = decompress(packed);
	const files = new Map<string, Buffer>();
	for (let at = 0; ; ) {
		const block = bytes.subarray(at, at + blockBytes);
		if (block.length < blockBytes) throw damaged('it ends in the middle');
		if (isZero(block)) break;
		const { name, size, type } = readHeader(block);
		const content = bytes.subarray(at + blockBytes, at + blockBytes + size);
		if (content.length < size) throw damaged('it ends in the middle');
		at += blockBytes + size + paddingOf(size);
		if (type === '5' && size === 0 && folders.includes(name)) continue;
		const fault = faultOf(name, type, allowed) ?? (files.has(name) ? 'a name that stands there twice' : null);
		if (fault !== null) throw refused(name, fault);
		files.set(name, content);
	}
	return files;
}

/** What an entry is instead of an allowed file; null: it is one. */
function faultOf(name: string, type: string, allowed: readonly string[]): string | null {
	if (type === '5') return 'a folder that does not belong there';
	if (type !== '0' && type !== '\0') return kinds[type] ?? `an entry of type ${JSON.stringify(type)}`;
	return allowed.includes(name) ? null : 'a file that does not belong there';
}

function decompress(packed: Buffer): Buffer {
	try {
		return gunzipSync(packed, { maxOutputLength: archiveBytesMax });
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'ERR_BUFFER_TOO_LARGE') throw damaged(`it unpacks to more than ${archiveBytesMax} bytes`);
		throw damaged(`gzip cannot read it (${messageOf(error)})`);
	}
}

function readHeader(block: Buffer): { name: string; size: number; type: string } {
	if (numberIn(block, 'checksum') !== checksumOf(block)) throw damaged('a checksum is wrong');
	if (!textIn(block, 'magic').startsWith('ustar') || textIn(block, 'prefix') !== '') {
		throw damaged('it has entries that no bundle has');
	}
	// tar(1) writes ./ before names when it is given a folder, and / after those of folders.
	const name = textIn(block, 'name').replace(/^\.\//, '').replace(/\/$/, '');
	return {
		name,
		size: numberIn(block, 'size') ?? archiveBytesMax,
		type: String.fromCharCode(block[fields.type[0]] ?? 0),
	};
}

function header(name: string, size: number, mode: number, changedAt: number): Buffer {
	const block = Buffer.alloc(blockBytes);
	const put = (field: Field, text: string) => block.write(text, fields[field][0], fields[field][1], 'latin1');
	const octal = (field: Field, value: number) =>
		put(field, `${value.toString(8).padStart(fields[field][1] - 1, '0')}\0`);
	put('name', name);
	octal('mode', mode);
	octal('user', 0);
	octal('group', 0);
	octal('size', size);
	octal('changed', changedAt);
	put('type', '0');
	put('magic', 'ustar\x0000');
	octal('checksum', checksumOf(block));
	return block;
}

/** The sum of a header's bytes, its own field taken as blanks. */
function checksumOf(block: Buffer): number {
	const [from, length] = fields.checksum;
	return block.reduce((sum, byte, index) => sum + (index >= from && index < from + length ? 0x20 : byte), 0);
}

const slice = (block: Buffer, field: Field): string =>
	block.toString('latin1', fields[field][0], fields[field][0] + fields[field][1]);

const textIn = (block: Buffer, field: Field): string => slice(block, field).split('\0')[0] ?? '';

/** null: no octal number, such as the binary ones of GNU tar for what is very large. */
function numberIn(block: Buffer, field: Field): number | null {
	const text = textIn(block, field).trim();
	return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : null;
}

const paddingOf = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;

const isZero = (block: Buffer): boolean => block.every((byte) => byte === 0);

const damaged = (reason: string): RollcallError => new RollcallError('invalid', `This is no bundle: ${reason}.`);

/** The name is the archive's: its text reaches a terminal in quotes alone. */
const refused = (name: string, what: string): RollcallError =>
	new RollcallError('invalid', `This bundle is not taken: ${JSON.stringify(name)} in it is ${what}.`);
