import {
	assertBelongTogether,
	assertInDate,
	authoritiesIn,
	MaterialRefused,
	plainPem,
	signersOf,
	type TlsMaterial,
} from '../../config/checks/certificates.js';
import { clusterHash, memberHash, members, readSharedSecret } from '../../config/checks/cluster.js';
import { FileRefused, readTrustedFile } from '../../config/document/trusted-files.js';
import type { LoadedConfig } from '../../config/load.js';
import type { ClusterConfig, Config } from '../../config/schema.js';
import { messageOf, RollcallError } from '../../errors.js';
import type { Member, TlsFacts } from '../../rollout/messages.js';
import type { NodeName } from '../../rollout/types.js';

/** The part of the configuration that the fleet lives by. */
export type FleetConfig = Pick<Config, 'node' | 'cluster'> & {
	rollout: Omit<Config['rollout'], 'notify' | 'hooks'> & Partial<Pick<Config['rollout'], 'hooks'>>;
	source?: Source;
};

/** What was read; without it, it comes from no file. */
type Source = Pick<LoadedConfig['source'], 'text'>;

/** Who belongs to the fleet, as one reading of the configuration has it. */
export interface Membership {
	self: NodeName;
	/** Sorted by name, own node included; without `cluster:` the own node alone. */
	members: Member[];
	memberHash: string;
	/** Over everything applied, contents of files included; null without `cluster:`. */
	configHash: string | null;
	cluster: Cluster | null;
	/** Where the key material of `cluster` was read. */
	tlsFiles: NonNullable<ClusterConfig['tls']> | null;
	source: Source | null;
}

/** What links need to find the peers and to prove who is who. */
export interface Cluster {
	listen: { host: string; port: number };
	/** Without the own node. */
	peers: { name: NodeName; url: string }[];
	/** Exactly one of the two is given. */
	secret: Buffer | null;
	tls: TlsMaterial | null;
}

/** Reads keys, certificates and secret too; throws `configuration` naming key and file. */
export function readMembership(config: FleetConfig): Membership {
	const all = members(config);
	const names = all.map((member) => member.name);
	return {
		self: config.node.name,
		members: all.map(({ name, zone }) => ({ name, zone })),
		memberHash: memberHash(names),
		configHash: clusterHash(config),
		cluster: config.cluster ? readCluster(config.node.name, config.cluster) : null,
		tlsFiles: config.cluster?.tls ?? null,
		source: config.source ?? null,
	};
}

/** The file names the zone of its own node alone; those of peers stay as they said them when their links were made. */
export function withZones(read: Membership, known: readonly Member[]): Membership {
	const zoneOf = new Map(known.map(({ name, zone }) => [name, zone]));
	const members = read.members.map(({ name, zone }) => ({
		name,
		zone: name === read.self ? zone : (zone ?? zoneOf.get(name) ?? null),
	}));
	return { ...read, members };
}

/** Throws `configuration` with file and remedy when the certificate is not valid at `now`: no peer would accept it. */
export function assertCertificateInDate({ self, cluster, tlsFiles }: Membership, now: number): void {
	if (!cluster?.tls || !tlsFiles) return;
	try {
		assertInDate(cluster.tls, now);
	} catch (cause) {
		const remedy = `put a new one into ${tlsFiles.cert}: ${issueCommand(self)}`;
		throw new RollcallError('configuration', `${messageOf(cause)}; ${remedy}`, {}, { cause });
	}
}

const issueCommand = (self: NodeName): string =>
	`rollcall ca issue ${self} --dir fleet-ca --force, at home, where that folder is`;

/** What of the certificates in use, and of those in the file, other nodes must know to tell whether they fit together. */
export function tlsFactsOf(current: Membership, next: Membership, now: number): TlsFacts | undefined {
	const [used, read, files] = [current.cluster?.tls, next.cluster?.tls, next.tlsFiles];
	if (!used || !read || !files) return undefined;
	const both = `${used.ca}\n${read.ca}`;
	return {
		caFile: files.ca,
		certFile: files.cert,
		trusts: authoritiesIn(read.ca, now),
		trustsNow: authoritiesIn(used.ca, now),
		signedBy: signersOf(read.cert, both, now),
		presents: signersOf(used.cert, both, now),
	};
}

/** Throws `unavailable` when a node that runs cannot take up what was read. */
export function assertCanFollow(before: Membership, next: Membership): void {
	if (next.self !== before.self)
		throw new RollcallError(
			'unavailable',
			`node.name is ${next.self} now, this node runs as ${before.self}: restart it.`,
		);
	if ((next.cluster === null) !== (before.cluster === null))
		throw new RollcallError('unavailable', 'cluster: was added or taken out as a whole: restart this node.');
}

function readCluster(self: NodeName, config: ClusterConfig): Cluster {
	const { tls, secret_file: secretFile } = config;
	return {
		listen: { host: config.listen.host, port: config.listen.port },
		peers: config.peers.filter((peer) => peer.name !== self).map(({ name, url }) => ({ name, url })),
		secret: secretFile === undefined ? null : named('secret_file', () => Buffer.from(readSharedSecret(secretFile))),
		tls: tls ? readMaterial(self, tls) : null,
	};
}

/** Files that could not prove this node to its peers are refused here, where key and fault can be named. */
function readMaterial(self: NodeName, tls: NonNullable<ClusterConfig['tls']>): TlsMaterial {
	const material = {
		ca: named('tls.ca', () => readTrustedFile(tls.ca, 'open')),
		cert: named('tls.cert', () => readTrustedFile(tls.cert, 'open')),
		key: named('tls.key', () => readTrustedFile(tls.key, 'secret')),
	};
	try {
		assertBelongTogether(self, material);
	} catch (cause) {
		const remedy =
			cause instanceof MaterialRefused && cause.key === 'tls.ca'
				? `put the fleet's authorities into ${tls.ca}: ca.pem of fleet-ca, at home, where that folder is`
				: `put a certificate of this node and its key into ${tls.cert} and ${tls.key}: ${issueCommand(self)}`;
		throw new RollcallError('configuration', `${messageOf(cause)}; ${remedy}`, {}, { cause });
	}
	// What was checked is what the links use.
	return { ...material, ca: plainPem(material.ca), cert: plainPem(material.cert) };
}

function named<T>(key: string, read: () => T): T {
	try {
		return read();
	} catch (error) {
		if (!(error instanceof FileRefused)) throw error;
		const hint = error.fault.hint === null ? '' : `; ${error.fault.hint}`;
		throw new RollcallError('configuration', `cluster.${key}: ${error.message}${hint}`, {}, { cause: error });
	}
}
