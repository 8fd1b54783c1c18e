import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { RollcallError } from '../../errors.js';
import { FileRefused, readTrustedFile } from '../document/trusted-files.js';
import type { Config } from '../schema.js';
import { percentPattern, shareOf } from '../document/values.js';

/** Shorter ones can be guessed from a recorded proof. */
const secretBytesMin = 16;

export interface Member {
	name: string;
	zone: string | null;
	/** null for the own node, unless its own entry stands among the peers. */
	url: string | null;
}

/** The nodes of the fleet, the own one included, sorted by name. Without `cluster:` the own one alone. */
export function members(config: Pick<Config, 'node' | 'cluster'>): Member[] {
	const peers = config.cluster?.peers ?? [];
	const own = peers.find((peer) => peer.name === config.node.name);
	const others = peers.filter((peer) => peer !== own);
	return [
		{ name: config.node.name, zone: config.node.zone ?? own?.zone ?? null, url: own?.url ?? null },
		...others.map((peer) => ({ name: peer.name, zone: peer.zone ?? null, url: peer.url })),
	].sort(byName);
}

/** By code units: every host must come to the same order, whatever its locale. */
function byName(one: { name: string }, other: { name: string }): number {
	if (one.name === other.name) return 0;
	return one.name < other.name ? -1 : 1;
}

/** SHA-256 (hex) over the sorted names, so that nodes can tell whether they mean the same fleet. Addresses do not count. */
export function memberHash(names: readonly string[]): string {
	return createHash('sha256')
		.update(JSON.stringify([...names].sort()))
		.digest('hex');
}

/** How many of `memberCount` nodes may be out: a number, or per cent rounded down, at least 1. Throws `invalid`. */
export function resolveMaxUnavailable(value: number | string, memberCount: number): number {
	const valid = typeof value === 'number' ? Number.isSafeInteger(value) && value >= 1 : percentPattern.test(value);
	if (!valid)
		throw new RollcallError('invalid', "'max_unavailable' must be a whole number of at least 1, or 1% to 100%");
	return shareOf(value, memberCount);
}

/**
 * SHA-256 (hex) of the `cluster:` section together with what its files hold now; null without the section. Whoever
 * applied a section keeps the hash of that moment: files may change later. The secrets cannot be told from it.
 */
export function clusterHash(config: Pick<Config, 'cluster'>): string | null {
	const { cluster } = config;
	if (cluster === undefined) return null;
	const files = [cluster.tls?.ca, cluster.tls?.cert, cluster.tls?.key, cluster.secret_file];
	const contents = files.map((file) => (file === undefined ? null : digestOf(file)));
	return createHash('sha256')
		.update(canonicalJson([cluster, contents]))
		.digest('hex');
}

function digestOf(file: string): string {
	try {
		return createHash('sha256').update(readFileSync(file)).digest('hex');
	} catch (cause) {
		throw new RollcallError(
			'unavailable',
			`cluster: ${file} cannot be read; is it there, for this user?`,
			{},
			{ cause },
		);
	}
}

/** Keys in the order of their names, so that moving lines in the file changes nothing. */
function canonicalJson(value: unknown): string {
	return JSON.stringify(value, (_key, item: unknown) => {
		if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
		return Object.fromEntries(Object.entries(item).sort(([one], [other]) => (one < other ? -1 : 1)));
	});
}

/** The shared secret without the white space around it. Throws {@link FileRefused}; its content is in no message. */
export function readSharedSecret(file: string): string {
	const secret = readTrustedFile(file, 'secret').trim();
	if (Buffer.byteLength(secret) < secretBytesMin) {
		throw new FileRefused({
			expected: `a secret of at least ${secretBytesMin} bytes in ${file}`,
			got: 'a shorter one',
			hint: `openssl rand -hex 32 > ${file}`,
		});
	}
	return secret;
}
