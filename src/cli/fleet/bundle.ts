import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { assertBelongTogether, assertInDate, type TlsMaterial } from '../../config/checks/certificates.js';
import { type LoadedConfig, parseConfig } from '../../config/load.js';
import { defaultTlsFiles } from '../../config/publish/template.js';
import { messageOf, RollcallError } from '../../errors.js';
import { configFileDefault } from '../client/places.js';
import { archiveBytesMax, packArchive, unpackArchive } from './archive.js';

/** What one host needs to be a node of its fleet: its configuration, its certificate and its key. */
export interface Bundle {
	node: string;
	/** The configuration, as it is to stand in /etc/rollcall/rollcall.yaml. */
	text: string;
	config: LoadedConfig;
	tls: TlsMaterial;
}

/** Names in the archive, which are those below the configuration's folder. */
const names = { config: 'rollcall.yaml', ...defaultTlsFiles } as const;
const folders = ['', '.', 'tls'];
const modes = { config: 0o640, ca: 0o644, cert: 0o644, key: 0o640 } as const;

/** Checks what will be a bundle, or was one. Throws `configuration` or `invalid`: a node could not run with it. */
export function checkBundle(text: string, tls: TlsMaterial): Bundle {
	const config = parseConfig(text, {
		file: configFileDefault,
		env: {},
		underSystemd: true,
		secretFiles: 'ignored',
	});
	const node = config.node.name;
	const used = config.cluster?.tls;
	const folder = dirname(configFileDefault);
	for (const name of ['ca', 'cert', 'key'] as const) {
		if (used?.[name] === join(folder, defaultTlsFiles[name])) continue;
		const expected = `cluster.tls.${name}: expected ${defaultTlsFiles[name]}, which is in the bundle`;
		throw new RollcallError('configuration', `${expected}, got ${used === undefined ? 'nothing' : used[name]}`);
	}
	assertBelongTogether(node, tls);
	assertInDate(tls, Date.now());
	return { node, text, config, tls };
}

export function packBundle({ text, tls }: Pick<Bundle, 'text' | 'tls'>): Buffer {
	const texts = { config: text, ...tls };
	const files = (['config', 'ca', 'cert', 'key'] as const).map((part) => ({
		name: names[part],
		content: Buffer.from(texts[part]),
		mode: modes[part],
	}));
	return packArchive(files, Math.floor(Date.now() / 1000));
}

/** Reads a bundle whole and checks it, before anything of it is written. Throws `invalid` or `configuration`. */
export function readBundle(path: string): Bundle {
	const files = unpackArchive(readPrivate(path), Object.values(names), folders);
	const textOf = (name: string): string => {
		const content = files.get(name);
		if (content === undefined) throw new RollcallError('invalid', `This bundle is not whole: it has no ${name}.`);
		try {
			return new TextDecoder('utf-8', { fatal: true }).decode(content);
		} catch {
			throw new RollcallError('invalid', `This bundle is not taken: ${name} in it is no text in UTF-8.`);
		}
	};
	const { config, ca, cert, key } = names;
	return checkBundle(textOf(config), { ca: textOf(ca), cert: textOf(cert), key: textOf(key) });
}

/**
 * A bundle holds a key, and what it says is done as root: others may neither read nor write it. It is read through one
 * descriptor, once, so that it does not matter who may rename files beside it.
 */
function readPrivate(path: string): Buffer {
	const fromInput = path === '-';
	const descriptor = fromInput ? 0 : opened(path);
	try {
		if (!fromInput) refuseShared(path, descriptor);
		return readAll(path, descriptor);
	} finally {
		if (!fromInput) closeSync(descriptor);
	}
}

function opened(path: string): number {
	try {
		// Without O_NONBLOCK a named pipe would hold the command up for ever.
		return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
	} catch (cause) {
		throw new RollcallError('invalid', `The bundle cannot be read: ${messageOf(cause)}.`, {}, { cause });
	}
}

function refuseShared(path: string, descriptor: number): void {
	const stats = fstatSync(descriptor);
	if (!stats.isFile()) throw new RollcallError('invalid', `${path} is no file, and a bundle is one.`);
	// Who runs this by sudo may hand over files of their own.
	const trusted = [0, process.geteuid?.() ?? 0, Number(process.env['SUDO_UID'] ?? 0)];
	if (!trusted.includes(stats.uid)) {
		const text = `${path} belongs to user ${stats.uid}, who could have put anything in it`;
		throw new RollcallError('invalid', `${text}. If it is your fleet's: chown root ${path}`);
	}
	if ((stats.mode & 0o026) !== 0) {
		const text = `${path} holds a key, and others may ${(stats.mode & 0o022) !== 0 ? 'write' : 'read'} it`;
		throw new RollcallError('invalid', `${text}. Run: chmod 600 ${path}`);
	}
}

function readAll(path: string, descriptor: number): Buffer {
	const buffer = Buffer.alloc(archiveBytesMax + 1);
	let length = 0;
	try {
		for (let got = -1; got !== 0 && length < buffer.length; length += got) {
			got = readSync(descriptor, buffer, length, buffer.length - length, null);
		}
	} catch (cause) {
		throw new RollcallError('invalid', `The bundle cannot be read: ${messageOf(cause)}.`, {}, { cause });
	}
	if (length > archiveBytesMax) {
		throw new RollcallError('invalid', `${path} has more than ${archiveBytesMax} bytes, and no bundle has.`);
	}
	return buffer.subarray(0, length);
}
