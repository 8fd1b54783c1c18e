import { realpathSync } from 'node:fs';
import { arch, hostname, platform, release } from 'node:os';
import { dirname, join } from 'node:path';
import { readText } from '../proc/read-text.js';

/** The attribute `system`. */
export interface SystemIdentity {
	platform: string;
	distro: string;
	release: string;
	codename: string;
	kernel: string;
	arch: string;
	hostname: string;
	fqdn: string;
	node_version: string;
	npm_version: string;
}

/** Read from files and the kernel alone: neither a name server nor another program is asked. */
export function readSystemIdentity(): SystemIdentity {
	const distribution = readDistribution();
	return {
		platform: platform(),
		distro: distribution.get('NAME') ?? 'unknown',
		release: distribution.get('VERSION_ID') ?? distribution.get('BUILD_ID') ?? 'unknown',
		codename: distribution.get('VERSION_CODENAME') ?? '',
		kernel: release(),
		arch: arch(),
		hostname: hostname(),
		fqdn: findFullName(hostname()),
		node_version: process.versions.node,
		npm_version: findNpmVersion(),
	};
}

/** os-release(5): NAME=value, the value maybe in quotes. */
function readDistribution(): Map<string, string> {
	const fields = new Map<string, string>();
	const text = readText('/etc/os-release') ?? readText('/usr/lib/os-release') ?? '';
	for (const line of text.split('\n')) {
		const match = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim());
		if (match?.[1]) fields.set(match[1], (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2'));
	}
	return fields;
}

/** As hosts(5) has it: the first name of the line that names this host; else the host name itself. */
function findFullName(host: string): string {
	if (host.includes('.')) return host;
	for (const line of (readText('/etc/hosts') ?? '').split('\n')) {
		const [, ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/);
		if (!names.includes(host)) continue;
		const full = names.find((name) => name.startsWith(`${host}.`));
		if (full) return full;
	}
	return host;
}

let npmVersion: string | null = null;

/** Of the npm that was installed with this Node; '' if there is none. Starting npm only to ask takes a second. */
function findNpmVersion(): string {
	npmVersion ??= readNpmVersion();
	return npmVersion;
}

function readNpmVersion(): string {
	const binaries = new Set([dirname(process.execPath), '/usr/bin', '/usr/local/bin']);
	const candidates = [...binaries].flatMap((folder) => [
		join(folder, '../lib/node_modules/npm/package.json'),
		join(folder, 'node_modules/npm/package.json'),
		join(folder, '../share/nodejs/npm/package.json'),
		join(linkTarget(join(folder, 'npm')), '../../package.json'),
	]);
	for (const candidate of candidates) {
		try {
			const { name, version } = JSON.parse(readText(candidate) ?? '{}') as { name?: string; version?: string };
			if (name === 'npm' && version) return version;
		} catch {
			// Not npm's file; the next candidate may be.
		}
	}
	return '';
}

function linkTarget(path: string): string {
	try {
		return realpathSync(path);
	} catch {
		return path;
	}
}
