import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { lstat, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readCertificates } from '../../config/checks/certificates.js';
import { RollcallError } from '../../errors.js';
import { authorityFiles, type Issued } from '../../system/openssl.js';
import { onDisk, place, readOwnFile } from './key-files.js';

/**
 * The folder of an authority. `ca.pem` is what nodes get as their cluster.tls.ca; the first certificate in it signs, with
 * that key of the two files which is its own. So each step of a rotation is one file that is replaced as a whole:
 *
 * - `ca.pem` old; `ca.key` of the old one
 * - `ca.pem` old, new; `next.key`: the key and the certificate of the new one
 * - `ca.pem` new, old
 * - `ca.pem` new; `next.key` becomes `ca.key`
 */
export interface AuthorityFolder {
	path: string;
	/** As it was typed. */
	given: string;
	/** All of `ca.pem`. */
	pem: string;
	signer: X509Certificate;
	/** Which file has its key. */
	keyFile: string;
	/** The other certificates of `ca.pem`; none outside a rotation. */
	others: X509Certificate[];
	/** Of `next.key`; null if there is none. */
	next: { certificate: X509Certificate; text: string } | null;
}

export const nextKeyFile = 'next.key';

/** Throws `invalid` with the remedy for what is no folder of an authority. */
export async function readFolder(path: string, given: string): Promise<AuthorityFolder> {
	const missing = `rollcall ca init --dir ${given} makes one`;
	const file = join(path, authorityFiles.cert);
	const pem = await readOwnFile(file, 'open', missing);
	const [signer, ...others] = certificatesIn(pem);
	if (signer?.ca !== true) throw invalid(`${file} does not begin with the certificate of an authority.`);
	const key = await readOwnFile(join(path, authorityFiles.key), 'secret', missing);
	const nextKey = (await isThere(join(path, nextKeyFile)))
		? await readOwnFile(join(path, nextKeyFile), 'secret', missing)
		: null;
	const next = nextKey === null ? null : pairIn(nextKey, join(path, nextKeyFile));
	if (next?.certificate.raw.equals(signer.raw)) {
		return { path, given, pem, signer, keyFile: nextKeyFile, others, next };
	}
	if (!isKeyOf(signer, key)) {
		throw invalid(`${join(path, authorityFiles.key)} is not the key of the first certificate in ${file}.`);
	}
	return { path, given, pem, signer, keyFile: authorityFiles.key, others, next };
}

/** Puts a new authority beside the one that signs: nodes are to accept both. */
export async function addNext({ path, signer }: AuthorityFolder, { cert, key }: Issued): Promise<void> {
	await place([{ path: join(path, nextKeyFile), text: `${key.trimEnd()}\n${cert}`, mode: 0o600 }], false);
	const [next] = certificatesIn(cert);
	if (next) await writeCertificates(path, [signer, next]);
}

/** Gives `ca.pem` these, the one that signs first. */
export function writeCertificates(path: string, certificates: readonly X509Certificate[]): Promise<void> {
	const text = certificates.map((one) => one.toString()).join('');
	return place([{ path: join(path, authorityFiles.cert), text, mode: 0o644 }], true);
}

/** The last step on disk: the key of the authority that was before is gone. */
export function endRotation({ path }: AuthorityFolder): Promise<void> {
	const key = join(path, authorityFiles.key);
	return onDisk(key, () => rename(join(path, nextKeyFile), key));
}

/** A rotation that was begun ends with the authority that it was to replace. */
export async function forgetNext(path: string): Promise<void> {
	const file = join(path, nextKeyFile);
	if (await isThere(file)) await onDisk(file, () => unlink(file));
}

function pairIn(text: string, file: string): NonNullable<AuthorityFolder['next']> {
	const [certificate] = certificatesIn(text);
	if (certificate && isKeyOf(certificate, text)) return { certificate, text };
	throw invalid(`${file} does not hold an authority's key and its certificate; move it away.`);
}

function certificatesIn(pem: string): X509Certificate[] {
	try {
		return readCertificates(pem);
	} catch {
		// The caller says what is missing, as for a file without one.
		return [];
	}
}

export function isKeyOf(certificate: X509Certificate, key: string): boolean {
	try {
		return certificate.checkPrivateKey(createPrivateKey(key));
	} catch {
		return false;
	}
}

const isThere = (path: string): Promise<boolean> =>
	lstat(path).then(
		() => true,
		() => false,
	);

const invalid = (text: string): RollcallError => new RollcallError('invalid', text);
