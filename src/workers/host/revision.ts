/**
 * What a release is called. The worker host tells it, since it runs as the user who can read the app's files; the control
 * plane may not be able to. An app can name its own release as it likes, and no other's.
 */
import { createHash } from 'node:crypto';
import { accessSync, closeSync, constants, fstatSync, lstatSync, readSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openUntrustedFile } from '../../system/files/untrusted-file.js';
import type { SeenRelease } from '../pm2/releases.js';
import { gitCommitOf, readWhole } from './git-commit.js';
import { revisionText } from './revision-text.js';

/** The file that a deployment writes into its release. */
const revisionFile = 'REVISION';
/** Folders above the script that are looked at. */
const foldersMax = 32;
/** A larger entry file has no hash: it would block the host for longer than its workers can wait. */
const entryBytesMax = 32 * 1024 * 1024;
const pieceBytes = 1024 * 1024;
/** Hashes that are kept, so that many workers of one release read its entry file once. */
const hashesMax = 64;
const hashes = new Map<string, string>();

/** What a worker would be started from now: links are resolved. Never throws. */
export function releaseOf(script: string, cwd: string | null = null): SeenRelease {
	try {
		const path = realpathSync(script);
		return { path, revision: revisionOf(path, folderOf(cwd)), readable: mayRead(path) };
	} catch {
		return { path: script, revision: null, readable: false };
	}
}

function folderOf(cwd: string | null): string | null {
	try {
		return cwd === null ? null : realpathSync(cwd);
	} catch {
		return null;
	}
}

const mayRead = (path: string): boolean => allows(path, constants.R_OK) || allows(path, constants.X_OK);

function allows(path: string, mode: number): boolean {
	try {
		accessSync(path, mode);
		return true;
	} catch {
		return false;
	}
}

/**
 * The revision of the release that a script, without links on its way, belongs to: the REVISION file beside it or nearest above it, or
 * the commit of the repository that it lies in, whichever is nearer; else a hash of the script. Of a program that is
 * run in a folder elsewhere (`npm` in a release) the hash is of both. null where none can be had.
 */
export function revisionOf(script: string, cwd: string | null = null): string | null {
	try {
		const isElsewhere = cwd !== null && !script.startsWith(join(cwd, '/'));
		return namedRevision(script) ?? (isElsewhere ? hashIn(cwd, hashOf(script)) : hashOf(script));
	} catch {
		return null;
	}
}

const hashIn = (cwd: string, hash: string | null): string | null =>
	hash && `sha256:${createHash('sha256').update(`${hash} ${cwd}`).digest('hex')}`;

function namedRevision(script: string): string | null {
	let folder = dirname(script);
	// Another user's files in a folder above, /tmp for one, say nothing of this release.
	const owners = new Set([0, process.geteuid?.(), statSync(script).uid, statSync(folder).uid]);
	const isOwn = (path: string): boolean => {
		const stat = lstatSync(path, { throwIfNoEntry: false });
		return stat !== undefined && owners.has(stat.uid);
	};
	for (let level = 0; level < foldersMax; level += 1) {
		const file = join(folder, revisionFile);
		const named = isOwn(file) ? revisionText(readWhole(file)) : null;
		const revision = named ?? (isOwn(join(folder, '.git')) ? gitCommitOf(folder) : null);
		const above = dirname(folder);
		if (revision !== null || above === folder) return revision;
		folder = above;
	}
	return null;
}

function hashOf(script: string): string | null {
	const descriptor = openUntrustedFile(script);
	try {
		const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(descriptor, { bigint: true });
		if (size > entryBytesMax) return null;
		const key = [dev, ino, size, mtimeNs, ctimeNs].join(' ');
		const hash = hashes.get(key) ?? `sha256:${readHash(descriptor)}`;
		hashes.delete(key);
		hashes.set(key, hash);
		for (const oldest of hashes.keys()) {
			if (hashes.size <= hashesMax) break;
			hashes.delete(oldest);
		}
		return hash;
	} finally {
		closeSync(descriptor);
	}
}

/** A file that grows meanwhile is not followed beyond the bound. */
function readHash(descriptor: number): string {
	const hash = createHash('sha256');
	const piece = Buffer.alloc(pieceBytes);
	for (let at = 0; at < entryBytesMax; ) {
		const length = readSync(descriptor, piece, 0, pieceBytes, at);
		if (length === 0) break;
		hash.update(piece.subarray(0, length));
		at += length;
	}
	return hash.digest('hex');
}
