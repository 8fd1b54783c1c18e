/** What git has checked out, read from its files: the host needs no git, and runs nothing that a repository could configure. */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readUntrustedFile } from '../../system/files/untrusted-file.js';

/** HEAD, a branch, `commondir`, and a `.git` that is a file. */
const smallFileBytesMax = 4_096;
/** Tens of thousands of branches and tags. */
const packedRefsBytesMax = 4 * 1024 * 1024;
/** HEAD names a branch, which may name another. */
const hopsMax = 5;

const commit = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Without `..` such a name stays below the repository's folder. */
const branch = /^refs\/[^\s\p{Cc}\\]{1,250}$/u;

/** The commit that is checked out in a folder with a `.git`; null where there is none, or its files do not tell. */
export function gitCommitOf(folder: string): string | null {
	const own = gitFolderOf(folder);
	if (own === null) return null;
	// A worktree has its HEAD for itself, and its branches in the repository that it belongs to.
	const common = readWhole(join(own, 'commondir'));
	return commitOf(own, common === null ? own : resolve(own, common.trim()));
}

function commitOf(own: string, common: string): string | null {
	let name = 'HEAD';
	for (let hop = 0; hop < hopsMax; hop += 1) {
		const text = (readWhole(join(own, name)) ?? readWhole(join(common, name)))?.trim();
		if (text === undefined) return packedCommit(common, name);
		if (commit.test(text)) return text;
		const target = /^ref:\s*(?<name>\S+)$/.exec(text)?.groups?.['name'];
		if (target === undefined || !branch.test(target) || target.includes('..')) return null;
		name = target;
	}
	return null;
}

function packedCommit(folder: string, name: string): string | null {
	const lines = readWhole(join(folder, 'packed-refs'), packedRefsBytesMax)?.split('\n') ?? [];
	const hash = lines.find((line) => line.endsWith(` ${name}`))?.slice(0, -name.length - 1);
	return hash !== undefined && commit.test(hash) ? hash : null;
}

/** `.git` is a folder, or, in a worktree or a submodule, a file that names it. */
function gitFolderOf(folder: string): string | null {
	const path = join(folder, '.git');
	const stat = statSync(path, { throwIfNoEntry: false });
	if (stat === undefined || stat.isDirectory()) return stat === undefined ? null : path;
	const target = /^gitdir: (?<path>[^\n\r\0]+)\s*$/.exec(readWhole(path) ?? '')?.groups?.['path'];
	return target === undefined ? null : resolve(folder, target.trim());
}

/** A regular file that is no longer than expected; null for anything else, a longer file included. */
export function readWhole(path: string, bytesMax = smallFileBytesMax): string | null {
	try {
		const text = readUntrustedFile(path, bytesMax + 1);
		return Buffer.byteLength(text) > bytesMax ? null : text;
	} catch {
		return null;
	}
}
