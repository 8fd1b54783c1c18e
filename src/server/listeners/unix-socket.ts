import { execFile } from 'node:child_process';
import { constants, type Stats } from 'node:fs';
import { chmod, chown, link, lstat, mkdir, mkdtemp, open, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, RollcallError } from '../../errors.js';

export interface SocketSettings {
	path: string;
	/** Permission bits, for example 0o660. */
	mode: number;
	/** Group's name or number; undefined: unchanged. */
	group?: string | undefined;
}

const configurationKey = 'operations_api.socket.path';
/** sun_path of unix(7) holds 108 bytes with its closing zero. */
const pathBytesMax = 107;
/** A name of our own, since libuv removes it again by the descriptor's number when the server closes. */
const privateName = 'rollcall-admin.sock';

/**
 * Binds a unix socket that is never wider than its mode, not for a moment: it is made inside a fresh 0700 folder beside its
 * place, gets group and mode there, and is then linked into place. link(2) fails if anything is there, so nothing that
 * somebody has put in its place is ever replaced, whenever that happened. Answers what removes it again.
 *
 * @param bind makes the server listen on the path it is given
 */
export async function bindSocket(
	settings: SocketSettings,
	bind: (path: string) => Promise<void>,
): Promise<() => Promise<void>> {
	const { path } = settings;
	if (Buffer.byteLength(path) > pathBytesMax) {
		throw new RollcallError('configuration', `${configurationKey}: ${path} is longer than ${pathBytesMax} bytes.`);
	}
	const folder = dirname(path);
	await prepareFolder(folder);
	const privateFolder = await mkdtemp(join(folder, `.${basename(path).slice(0, 32)}-`));
	const handle = await open(privateFolder, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		await removeStale(path, privateFolder);
		// The private name may be longer than a socket's may be; by the folder's descriptor it is always short.
		await bind(`/proc/self/fd/${handle.fd}/${privateName}`);
		const bound = join(privateFolder, privateName);
		const gid = settings.group === undefined ? null : await groupId(settings.group);
		if (gid !== null) await chown(bound, -1, gid).catch((cause: unknown) => rejectGroup(settings.group, cause));
		await chmod(bound, settings.mode & 0o777);
		const own = await lstat(bound);
		await publish(bound, path);
		return () => removeOwn(path, own);
	} finally {
		await handle.close();
		await rm(privateFolder, { recursive: true, force: true });
	}
}

async function publish(bound: string, path: string): Promise<void> {
	try {
		await link(bound, path);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
		throw inTheWay(path, 'something was put in its place in this moment');
	}
}

/** Makes the folder if it is missing, open to be passed through: the socket's own mode is the gate. */
async function prepareFolder(folder: string): Promise<void> {
	try {
		if ((await mkdir(folder, { recursive: true })) !== undefined) await chmod(folder, 0o755);
	} catch (cause) {
		throw new RollcallError(
			'configuration',
			`${configurationKey}: the folder cannot be made: ${messageOf(cause)}`,
			{},
			{ cause },
		);
	}
	const { mode, uid } = await stat(folder);
	const own = process.getuid?.() ?? uid;
	const isWritableByOthers = (mode & 0o022) !== 0 && (mode & stickyBit) === 0;
	if ((uid !== own && uid !== 0) || isWritableByOthers) {
		throw new RollcallError(
			'configuration',
			`${configurationKey}: ${folder} may be changed by others, who could put their own socket there. ` +
				`It must belong to this user or root and be writable by its owner alone (or be sticky).`,
		);
	}
}

const stickyBit = 0o1000;

/** Removes a stale socket (no listener). Refuses anything else at that path and leaves it in place. */
async function removeStale(path: string, privateFolder: string): Promise<void> {
	const there = await lstatOrNull(path);
	if (!there) return;
	if (!there.isSocket()) throw inTheWay(path, 'it is there already and is no socket');
	const own = process.getuid?.() ?? there.uid;
	if (there.uid !== own && there.uid !== 0 && own !== 0)
		throw inTheWay(path, `the socket there belongs to user ${there.uid}`);
	const state = await probe(path);
	if (state !== 'stale') throw inTheWay(path, state);
	// Moved away first and looked at again: between the probe and the move it may have been exchanged.
	const moved = join(privateFolder, 'stale');
	await rename(path, moved);
	if (isSame(await lstat(moved), there)) return;
	await link(moved, path).catch(() => undefined);
	throw inTheWay(path, 'it was exchanged in this moment');
}

/** `stale`, or why it is not. */
function probe(path: string): Promise<string> {
	return new Promise((resolve) => {
		const socket = connect(path);
		socket.once('connect', () => {
			socket.destroy();
			resolve('another process listens on it');
		});
		socket.once('error', (error: NodeJS.ErrnoException) => {
			resolve(
				error.code === 'ECONNREFUSED' ? 'stale' : `it cannot be told whether anybody listens on it (${error.code})`,
			);
		});
	});
}

async function removeOwn(path: string, own: Stats): Promise<void> {
	const there = await lstatOrNull(path);
	if (there && isSame(there, own)) await unlink(path).catch(() => undefined);
}

const isSame = (one: Stats, other: Stats): boolean => one.ino === other.ino && one.dev === other.dev;

async function lstatOrNull(path: string): Promise<Stats | null> {
	try {
		return await lstat(path);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw cause;
	}
}

const inTheWay = (path: string, why: string): RollcallError =>
	new RollcallError(
		'address_in_use',
		`${path} (${configurationKey}) is in use: ${why}. It is left as it is; remove it or choose another path.`,
	);

/** The number of a group: /etc/group, then whatever else the system asks (getent(1)). */
async function groupId(group: string): Promise<number> {
	if (/^\d+$/.test(group)) return Number(group);
	const local = idIn(await readFile('/etc/group', 'utf8').catch(() => ''), group);
	if (local !== null) return local;
	// A name that looks like an option must not become one.
	const asked = /^[\w][\w.-]*$/.test(group)
		? await promisify(execFile)('getent', ['group', group], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }).then(
				({ stdout }) => stdout,
				() => '',
			)
		: '';
	const found = idIn(asked, group);
	if (found === null)
		throw new RollcallError('configuration', `operations_api.socket.group: there is no group ${group}.`);
	return found;
}

function idIn(groups: string, name: string): number | null {
	for (const line of groups.split('\n')) {
		const [group, , id] = line.split(':');
		if (group === name && id !== undefined && /^\d+$/.test(id)) return Number(id);
	}
	return null;
}

function rejectGroup(group: string | undefined, cause: unknown): never {
	throw new RollcallError(
		'configuration',
		`operations_api.socket.group: the socket cannot be given to ${group} (${messageOf(cause)}); this user must be a member.`,
		{},
		{ cause },
	);
}
