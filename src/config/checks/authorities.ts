import type { X509Certificate } from 'node:crypto';
import {
	authoritiesIn as authorityHashes,
	authorityHash,
	isSignedBy,
	readCertificates,
	type TlsMaterial,
	validityOf,
} from './certificates.js';

/** Which authorities a node accepts, and which of them its own certificate comes from: what a rotation goes by. */

export interface Authority {
	/** The begin of the hash of subject and key: one issued anew for the same key is the same. */
	id: string;
	/** The common name. */
	name: string;
	/** ms since 1970 of its first validity: the later of two is the newer one. */
	from: number;
}

export interface Authorities {
	/** In `cluster.tls.ca`, oldest first. */
	accepts: Authority[];
	/** The ids of those that the certificate leads to. */
	presents: string[];
}

/** A rotation has two; with more than these a file is a collection of authorities, and is not told. */
export const authoritiesMax = 8;
const idCharacters = 16;
const nameCharactersMax = 128;

/** Undefined without TLS, and for files that name more than {@link authoritiesMax}. */
export function authoritiesOf(material: Material | null | undefined): Authorities | undefined {
	if (!material) return undefined;
	if (!read.has(material)) read.set(material, readOrNone(material));
	return read.get(material);
}

type Material = Pick<TlsMaterial, 'ca' | 'cert'>;

/** Asked whenever a node says how it stands; material is never changed in place. */
const read = new WeakMap<Material, Authorities | undefined>();

/** A key of a kind that node:crypto does not know is no reason for a node not to run. */
function readOrNone(material: Material): Authorities | undefined {
	try {
		return readAuthorities(material);
	} catch {
		return undefined;
	}
}

function readAuthorities(material: Material): Authorities | undefined {
	const inFile = readCertificates(material.ca);
	const roots = inFile.filter(isRoot);
	const accepts = authoritiesIn(roots);
	if (accepts.length > authoritiesMax) return undefined;
	// Intermediate authorities may stand in either file.
	const chain = [...readCertificates(material.cert), ...inFile.filter((one) => !roots.includes(one))];
	const signers = roots.filter((root) => isSignedBy(chain, [root]));
	return { accepts, presents: [...new Set(signers.map(idOf))] };
}

/** The ids of those in a PEM text that are valid at `now` (ms since 1970). */
export const validIds = (ca: string, now: number): string[] => authorityHashes(ca, now).map(idOfHash);

/** Each once, the oldest first. */
function authoritiesIn(roots: readonly X509Certificate[]): Authority[] {
	const byId = new Map<string, Authority>();
	for (const root of roots) {
		const authority = authorityOf(root);
		const known = byId.get(authority.id);
		if (!known || authority.from < known.from) byId.set(authority.id, authority);
	}
	return [...byId.values()].sort(byAge);
}

export function authorityOf(certificate: X509Certificate): Authority {
	const name = /^CN=(.+)$/m.exec(certificate.subject)?.[1] ?? certificate.subject;
	const from = Math.max(0, validityOf(certificate).from);
	return { id: idOf(certificate), name: name.slice(0, nameCharactersMax), from };
}

/** Two of the same second have an order, too, and it is the same on every node. */
export const byAge = (one: Authority, other: Authority): number =>
	one.from - other.from || (one.id < other.id ? -1 : 1);

const idOfHash = (hash: string): string => hash.slice(0, idCharacters);
const idOf = (certificate: X509Certificate): string => idOfHash(authorityHash(certificate));

/** Only what has signed itself ends a chain of node:tls. */
const isRoot = (one: X509Certificate): boolean => one.ca && one.checkIssued(one) && one.verify(one.publicKey);
