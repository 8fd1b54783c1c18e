import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { accessSync, constants, type Stats, readdirSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { readText } from '../../system/proc/read-text.js';
import type { FileFacts, Host, Space } from './types.js';

const commandTimeoutMs = 5_000;
const connectTimeoutMs = 2_000;
const commandBytesMax = 1024 * 1024;

/** The host that this process runs on. */
export function thisHost(): Host {
	return {
		nodeVersion: process.versions.node,
		processors: availableParallelism(),
		uid: process.geteuid?.() ?? 0,
		env: process.env,
		readText,
		facts,
		find,
		run,
		connect: connectTo,
		status,
		addresses,
		space,
		commandLines,
	};
}

function facts(path: string): FileFacts | 'missing' | 'denied' {
	try {
		const stats = statSync(path);
		return { kind: kindOf(stats), mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		return code === 'EACCES' || code === 'EPERM' ? 'denied' : 'missing';
	}
}

function kindOf(stats: Stats): FileFacts['kind'] {
	if (stats.isFile()) return 'file';
	if (stats.isDirectory()) return 'folder';
	return stats.isSocket() ? 'socket' : 'other';
}

function find(program: string, folders = (process.env['PATH'] ?? '').split(delimiter)): string | null {
	for (const folder of folders) {
		const path = join(folder, program);
		try {
			accessSync(path, constants.X_OK);
			if (statSync(path).isFile()) return realpathSync(path);
		} catch {
			// Not in this folder.
		}
	}
	return null;
}

function run(program: string, ...words: string[]): Promise<string | null> {
	const options = { timeout: commandTimeoutMs, maxBuffer: commandBytesMax, killSignal: 'SIGKILL' } as const;
	return new Promise((resolve) => {
		const env = { ...process.env, LC_ALL: 'C' };
		execFile(program, words, { ...options, env }, (error, stdout) => {
			const hasEnded = error === null || typeof (error as { code?: unknown }).code === 'number';
			resolve(hasEnded ? stdout.trim() : null);
		});
	});
}

function connectTo(host: string, port: number): Promise<string | null> {
	return new Promise((resolve) => {
		const socket = connect({ host, port, timeout: connectTimeoutMs });
		const end = (answer: string | null) => {
			socket.destroy();
			resolve(answer);
		};
		socket.once('connect', () => end(null));
		socket.once('timeout', () => end(`no answer within ${connectTimeoutMs / 1000} s`));
		socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
	});
}

function status(url: string): Promise<number | null> {
	return new Promise((resolve) => {
		const request = get(url, { timeout: connectTimeoutMs, agent: false }, (response) => {
			resolve(response.statusCode ?? null);
			response.destroy();
		});
		request.once('timeout', () => request.destroy());
		request.once('error', () => resolve(null));
		// A peer that sends a byte now and then is no answer either.
		request.once('close', () => resolve(null));
	});
}

async function addresses(name: string): Promise<string[] | null> {
	const late = new Promise<null>((resolve) => setTimeout(resolve, commandTimeoutMs, null).unref());
	const found = lookup(name, { all: true }).then(
		(list) => list.map(({ address }) => address),
		() => null,
	);
	return await Promise.race([found, late]);
}

function space(path: string): Space | null {
	for (let at = path; ; at = dirname(at)) {
		try {
			const { bsize, blocks, bavail, files, ffree } = statfsSync(at);
			return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeInodes: ffree, inodes: files };
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || at === dirname(at)) return null;
		}
	}
}

function commandLines(): string[] {
	try {
		const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
		return pids.map((pid) => (readText(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim());
	} catch {
		return [];
	}
}
