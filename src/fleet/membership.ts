import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { messageOf, RollcallError } from '../errors.js';
import type { NodeName } from '../rollout/types.js';
import type { ClusterSettings } from './types.js';
import type { TlsMaterial } from './websocket.js';

/** A `cluster:` section with its files read: what links need to prove themselves and to find each other. */
export interface Cluster {
	settings: ClusterSettings;
	/** Without the own entry. */
	peers: { name: NodeName; url: string }[];
	/** Sorted, own name included. */
	members: NodeName[];
	memberHash: string;
	/** Over everything that was applied, contents of the files included: of this node alone, not to be compared with others'. */
	configHash: string;
	secret: Buffer | null;
	tls: TlsMaterial | null;
}

export const secretBytesMin = 16;
const secretBytesMax = 4_096;

/** Over the sorted names alone: addresses may differ in each node's file. */
export function memberHashOf(names: readonly NodeName[]): string {
	return digest([...new Set(names)].sort().join('\n'));
}

/** Reads keys, certificates and secret; throws `configuration` naming key and file. */
export function readCluster(self: NodeName, settings: ClusterSettings): Cluster {
	const peers = settings.peers.filter((peer) => peer.name !== self);
	const members = [...new Set([self, ...peers.map((peer) => peer.name)])].sort();
	const tls = settings.tls && {
		ca: readSecret('cluster.tls.ca', settings.tls.ca, false),
		cert: readSecret('cluster.tls.cert', settings.tls.cert, false),
		key: readSecret('cluster.tls.key', settings.tls.key, true),
	};
	const secret =
		settings.secretFile === null ? null : trimEnd(readSecret('cluster.secret_file', settings.secretFile, true));
	if (secret !== null && (secret.length < secretBytesMin || secret.length > secretBytesMax))
		throw new RollcallError(
			'configuration',
			`cluster.secret_file: ${settings.secretFile} must hold ${secretBytesMin} to ${secretBytesMax} bytes, it holds ${secret.length}. Make one with: head -c 32 /dev/urandom | base64`,
		);
	if (tls === null && secret === null)
		throw new RollcallError('configuration', 'cluster: needs tls (or, on loopback, secret_file) to prove who is who.');
	const contents = [tls?.ca, tls?.cert, tls?.key, secret].map((part) => (part ? digest(part) : null));
	return {
		settings,
		peers,
		members,
		memberHash: memberHashOf(members),
		configHash: digest(JSON.stringify([settings.listen, peers, contents])),
		secret,
		tls,
	};
}

function readSecret(key: string, file: string, isSecret: boolean): Buffer {
	try {
		if (isSecret && (statSync(file).mode & 0o007) !== 0) throw new Error('others may read it; run chmod o-rwx on it');
		return readFileSync(file);
	} catch (error) {
		throw new RollcallError(
			'configuration',
			`${key}: ${file} cannot be used: ${messageOf(error)}`,
			{},
			{ cause: error },
		);
	}
}

function trimEnd(bytes: Buffer): Buffer {
	let end = bytes.length;
	while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
	return bytes.subarray(0, end);
}

/** 32 hex digits are enough to tell configurations apart, and short enough to read aloud. */
function digest(content: string | Buffer): string {
	return createHash('sha256').update(content).digest('hex').slice(0, 32);
}
