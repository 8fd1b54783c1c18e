import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { messageOf, RollcallError } from '../../errors.js';

/** Certificates of nodes: whom one speaks for, whether a set belongs together, and when it ends. */

/** Key material of one node, as PEM text. */
export interface TlsMaterial {
	ca: string;
	cert: string;
	key: string;
}

/** A node's name, in the configuration as in a certificate; never the one of this kind that every object has as a property. */
export const nodeNamePattern = /^(?!constructor$)[a-z0-9-]{1,63}$/;

/** The node that a certificate speaks for: its common name and its subject alternative names must hold one name in all. */
export function nameInCertificate(certificate: Partial<PeerCertificate>): string | null {
	const names = new Set<string>();
	const common: unknown = certificate.subject?.CN;
	if (common !== undefined) names.add(`DNS:${String(common)}`);
	if (certificate.subjectaltname) for (const name of certificate.subjectaltname.split(', ')) names.add(name);
	const [only, ...others] = names;
	if (only === undefined || others.length > 0 || !only.startsWith('DNS:')) return null;
	const name = only.slice('DNS:'.length);
	return nodeNamePattern.test(name) ? name : null;
}

/**
 * Whether a node could prove itself with these files: the certificate is one of `node` alone, the key is its key, and an
 * authority of `ca` signed it. Throws `configuration` naming the key. Dates are no part of it: see {@link assertInDate}.
 */
export function assertBelongTogether(node: string, material: TlsMaterial): void {
	const authorities = certificatesOf('tls.ca', material.ca);
	const chain = certificatesOf('tls.cert', material.cert);
	const [own] = chain;
	if (!own) throw refuse('tls.cert', 'a certificate in PEM', 'none');
	const name = nameInCertificate(own.toLegacyObject());
	if (name !== node) {
		const got = name === null ? 'one that does not hold exactly one node name' : `one of ${name}`;
		throw refuse('tls.cert', `a certificate of ${node}, as node.name has it`, got);
	}
	if (!own.checkPrivateKey(privateKeyOf(material.key))) {
		throw refuse('tls.key', 'the private key of the certificate in cluster.tls.cert', 'another one');
	}
	if (!isSignedBy(chain, authorities)) {
		throw refuse('tls.cert', 'a certificate signed by an authority in cluster.tls.ca', 'one of another authority');
	}
}

/** Authorities that are valid at `now`, each as a hash of its subject and key: one issued anew for the same key is the same. */
export function authoritiesIn(ca: string, now: number): string[] {
	return [...new Set(readCertificates(ca).filter(isValidAt(now)).map(authorityHash))];
}

/** Those of `ca` that a certificate with its chain leads to. */
export function signersOf(cert: string, ca: string, now: number): string[] {
	const chain = readCertificates(cert);
	const signers = readCertificates(ca).filter((one) => isValidAt(now)(one) && isSignedBy(chain, [one]));
	return [...new Set(signers.map(authorityHash))];
}

const isValidAt =
	(now: number) =>
	(certificate: X509Certificate): boolean => {
		const { from, to } = validityOf(certificate);
		return from <= now && now < to;
	};

/** Of subject and key. */
export const authorityHash = ({ subject, publicKey }: X509Certificate): string =>
	createHash('sha256')
		.update(subject)
		.update(publicKey.export({ type: 'spki', format: 'der' }))
		.digest('hex');

/** Throws `configuration` when the node's own certificate, or its authority's, is not valid at `now` (ms since 1970). */
export function assertInDate({ cert, ca }: TlsMaterial, now: number): void {
	const [own] = certificatesOf('tls.cert', cert);
	if (!own) return;
	const { from, to } = validityOf(own);
	const at = `now (${new Date(now).toISOString()})`;
	if (now >= to) throw refuse('tls.cert', `a certificate that is valid ${at}`, `one that expired on ${dayOf(to)}`);
	if (now < from) {
		const got = `one that begins at ${new Date(from).toISOString()}; is the clock of this host right?`;
		throw refuse('tls.cert', `a certificate that is valid ${at}`, got);
	}
	if (signersOf(cert, ca, now).length === 0)
		throw refuse(
			'tls.ca',
			`an authority of the certificate that is valid ${at}`,
			'one that has expired, or begins later',
		);
}

/** A file whose certificates a listener or the links use, from the moment it was read until another is taken up. */
export interface CertificateInUse {
	/** The configuration key that names the file. */
	key: string;
	file: string;
	/** ms since 1970: when the first of its certificates ends. */
	expiresAt: number;
	/** What to do then, as the rest of a sentence. */
	remedy: string;
}

export interface CertificateNote extends CertificateInUse {
	/** Whole days left, rounded down; negative once it has expired. */
	days: number;
	/** One sentence for the operator. */
	text: string;
}

export const warningDays = 30;
const dayMs = 24 * 60 * 60 * 1000;

/** A note on each file that has less than 30 days left at `now` (ms since 1970), the most urgent first. */
export function certificateNotes(inUse: readonly CertificateInUse[], now: number): CertificateNote[] {
	return inUse
		.filter(({ expiresAt }) => expiresAt - now < warningDays * dayMs)
		.sort((one, other) => one.expiresAt - other.expiresAt)
		.map((use) => ({ ...use, days: Math.floor((use.expiresAt - now) / dayMs), text: noteText(use, now) }));
}

function noteText({ key, file, expiresAt, remedy }: CertificateInUse, now: number): string {
	const days = Math.floor((expiresAt - now) / dayMs);
	const left = days === 0 ? 'in less than a day' : `in ${days} day${days === 1 ? '' : 's'}`;
	const when = expiresAt <= now ? `expired on ${dayOf(expiresAt)}` : `expires ${left}, on ${dayOf(expiresAt)}`;
	return `The certificate of ${key} (${file}) ${when}: ${remedy}.`;
}

/** When the first of a PEM text's certificates ends, in ms since 1970; null if none can be read. */
export function firstExpiry(pem: string): number | null {
	try {
		const ends = readCertificates(pem).map((certificate) => validityOf(certificate).to);
		return ends.length === 0 ? null : Math.min(...ends);
	} catch {
		return null;
	}
}

const pemBlock = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

const pemBegin = /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g;

/** Every certificate in a PEM text. Throws what node:crypto says about one that is broken. */
export function readCertificates(pem: string): X509Certificate[] {
	return (pem.match(pemBlock) ?? []).map((block) => new X509Certificate(block));
}

/**
 * The certificates of a PEM text as node:tls reads them all: it takes none, without a word, from a text where one follows
 * another on the same line, is indented, or has an empty line in it.
 */
export const plainPem = (pem: string): string =>
	readCertificates(pem)
		.map((one) => one.toString())
		.join('');

/** ms since 1970. */
export function validityOf(certificate: X509Certificate): { from: number; to: number } {
	return { from: Date.parse(certificate.validFrom), to: Date.parse(certificate.validTo) };
}

/** As people write a date, in UTC: `2027-11-22`. */
export const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);

function certificatesOf(key: string, pem: string): X509Certificate[] {
	let found: X509Certificate[];
	try {
		found = readCertificates(pem);
	} catch (cause) {
		throw refuse(key, 'certificates in PEM', `one that cannot be read (${messageOf(cause)})`, cause);
	}
	const begun = pem.match(pemBegin)?.length ?? 0;
	if (found.length < begun) {
		throw refuse(key, 'certificates in PEM', `a text of which ${begun - found.length} of ${begun} cannot be read`);
	}
	if (found.length === 0) throw refuse(key, 'a certificate in PEM', 'none');
	return found;
}

function privateKeyOf(pem: string): ReturnType<typeof createPrivateKey> {
	try {
		return createPrivateKey(pem);
	} catch {
		// What node:crypto says is not passed on: nothing of a key's text shall come near a log.
		throw refuse('tls.key', 'a private key in PEM without a passphrase', 'something else');
	}
}

/** Whether the first of the chain leads, by certificates of the chain, to one of the authorities. */
export function isSignedBy(chain: readonly X509Certificate[], authorities: readonly X509Certificate[]): boolean {
	let [current] = chain;
	for (let step = 0; current && step < chain.length; step++) {
		const subject: X509Certificate = current;
		const signed = (issuer: X509Certificate): boolean =>
			issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
		if (authorities.some(signed)) return true;
		current = chain.find((issuer) => issuer !== subject && signed(issuer));
	}
	return false;
}

/** Key material that cannot serve; `key` is the one in the section `cluster` that is at fault. */
export class MaterialRefused extends RollcallError {
	constructor(
		readonly key: string,
		message: string,
		cause: unknown,
	) {
		super('configuration', message, {}, { cause });
	}
}

function refuse(key: string, expected: string, got: string, cause?: unknown): MaterialRefused {
	return new MaterialRefused(key, `cluster.${key}: expected ${expected}, got ${got}`, cause);
}
