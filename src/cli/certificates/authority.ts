import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { z } from '../../zod.js';
import { dayOf, nodeNamePattern, readCertificates, validityOf } from '../../config/checks/certificates.js';
import { RollcallError } from '../../errors.js';
import { authorityFiles, type Issued, issueCertificate, makeAuthority, type Validity } from '../../system/openssl.js';
import { type AuthorityFolder, forgetNext, readFolder } from './authority-folder.js';
import { ensureFolder, holds, type NewFile, onDisk, place, refuseExisting } from './key-files.js';
import type { Context } from '../context.js';
import type { caInitShape, caIssueShape } from '../output/json-schemas.js';
import { writeMessage, writeResult } from '../output/terminal.js';

/** Options of both commands. */
export interface AuthorityOptions {
	dir: string;
	days: string;
	force?: boolean;
}

const dayMs = 24 * 60 * 60 * 1000;
const daysMax = 7_300;
/** The clocks of hosts differ a little, and a certificate is to count on all of them at once. */
const clockSkewMs = 60 * 60 * 1000;

/** `rollcall ca init`: makes the fleet's authority, in a folder that other users cannot read. */
export async function init({ options, terminal, session }: Context<AuthorityOptions>): Promise<number> {
	const name = authorityName();
	const order = { dir: options.dir, days: options.days, name, mayReplace: options.force === true };
	const document = await createAuthority(order, session.signal);
	const { cert, key, valid_to } = document;
	writeResult(terminal, document, () =>
		[`authority ${name}, valid until ${dayOf(valid_to)}`, `  ${cert}`, `  ${key}`].join('\n'),
	);
	writeMessage(
		terminal,
		`Keep ${key} secret: with it anyone can add nodes to this fleet. Next: rollcall ca issue NODE --dir ${options.dir}`,
	);
	return 0;
}

/** `rollcall ca issue NODE`: a key and a certificate for one node, beside the authority's certificate. */
export async function issue(
	{ options, terminal, session }: Context<AuthorityOptions & { out?: string }>,
	node: string,
): Promise<number> {
	const order = { dir: options.dir, days: options.days, node, mayReplace: options.force === true };
	const out = options.out ?? join(options.dir, node);
	const { document, endsEarlier } = await issueFiles({ ...order, out }, session.signal);
	const { ca, cert, key, valid_to } = document;
	writeResult(terminal, document, () =>
		[`certificate of ${node}, valid until ${dayOf(valid_to)}`, `  ${ca}`, `  ${cert}`, `  ${key}`].join('\n'),
	);
	if (endsEarlier) writeMessage(terminal, 'It ends with its authority, earlier than was asked for.');
	writeMessage(
		terminal,
		`Bring the three to ${node} (ca.key stays here), name them in cluster.tls, and let only the daemon's user read key.pem. ` +
			'A daemon that runs takes them up by: rollcall restart_service service=clustering_config',
	);
	return 0;
}

/** What to make, and in which folder of an authority. */
interface Order {
	dir: string;
	/** As it was typed. */
	days: string;
	/** Whether files that are there may be replaced. */
	mayReplace: boolean;
}

/** Makes an authority: its key and its certificate in its folder. */
export async function createAuthority(
	{ dir, days, name, mayReplace }: Order & { name: string },
	signal: AbortSignal,
): Promise<z.infer<typeof caInitShape>> {
	const folder = resolve(dir);
	const wanted = validityFrom(Date.now(), daysOf(days));
	await ensureFolder(folder, 'private');
	const [key, cert] = [join(folder, authorityFiles.key), join(folder, authorityFiles.cert)];
	if (!mayReplace) {
		const consequence =
			'with --force a new authority takes its place, and no certificate of the old one counts any more; rollcall ca rotate changes to a new one step by step';
		await refuseExisting([key, cert], consequence);
	}
	const made = await onDisk(folder, () => makeAuthority(folder, name, wanted, signal));
	const files: NewFile[] = [
		{ path: key, text: made.key, mode: 0o600 },
		{ path: cert, text: made.cert, mode: 0o644 },
	];
	await place(files, mayReplace);
	await forgetNext(folder);
	return { authority: name, cert, key, ...factsOf(made.cert) };
}

/** Makes a node's key and certificate in the folder `out`. */
export async function issueFiles(
	{ dir, days, node, out: given, mayReplace }: Order & { node: string; out: string },
	signal: AbortSignal,
): Promise<{ document: z.infer<typeof caIssueShape>; endsEarlier: boolean }> {
	if (!nodeNamePattern.test(node)) {
		throw new RollcallError(
			'usage',
			`A node's name is 1 to 63 characters out of a-z, 0-9 and -, as node.name has it; got ${JSON.stringify(node)}.`,
		);
	}
	const wanted = validityFrom(Date.now(), daysOf(days));
	const folder = await readFolder(resolve(dir), dir);
	const validity = withinAuthority(wanted, folder);
	const out = resolve(given);
	await ensureFolder(out, 'unwritable');
	const [ca, cert, key] = [join(out, 'ca.pem'), join(out, 'cert.pem'), join(out, 'key.pem')];
	const hasAuthority = await holds(ca, folder.pem);
	if (!mayReplace) {
		const consequence = 'with --force new files take the place of those; --out DIR writes elsewhere';
		await refuseExisting(hasAuthority ? [key, cert] : [key, cert, ca], consequence);
	}
	const made = await onDisk(folder.path, () => issueCertificate(folder.path, node, validity, signal, folder.keyFile));
	await place(nodeFiles(out, made, hasAuthority ? null : folder.pem), mayReplace);
	const document = { node, ca, cert, key, ...factsOf(made.cert), authority_valid_to: validityOf(folder.signer).to };
	return { document, endsEarlier: validity.to < wanted.to };
}

/** The files of a node; `ca`: null leaves its ca.pem as it is. */
export const nodeFiles = (out: string, { cert, key }: Issued, ca: string | null): NewFile[] => [
	{ path: join(out, 'key.pem'), text: key, mode: 0o600 },
	{ path: join(out, 'cert.pem'), text: cert, mode: 0o644 },
	...(ca === null ? [] : [{ path: join(out, 'ca.pem'), text: ca, mode: 0o644 }]),
];

/** A certificate must not outlive its authority: it would be invalid then, although its own date says otherwise. */
export function withinAuthority(wanted: Validity, { signer }: AuthorityFolder): Validity {
	const validity = validityOf(signer);
	if (validity.to > Date.now()) return { from: wanted.from, to: Math.min(wanted.to, validity.to) };
	const text = `The authority expired on ${dayOf(validity.to)}: make a new one, and new certificates for every node.`;
	throw new RollcallError('invalid', text);
}

export const authorityName = (): string => `Rollcall fleet ${randomBytes(4).toString('hex')}`;

export const validityFrom = (now: number, days: number): Validity => ({
	from: now - clockSkewMs,
	to: now + days * dayMs,
});

export function daysOf(text: string): number {
	const days = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
	if (days >= 1 && days <= daysMax) return days;
	throw new RollcallError('usage', `--days must be a whole number from 1 to ${daysMax}; got ${JSON.stringify(text)}.`);
}

/** What both documents say of the certificate; times in ms since 1970. */
function factsOf(pem: string): { serial: string; fingerprint256: string; valid_from: number; valid_to: number } {
	const [certificate] = readCertificates(pem);
	if (!certificate) throw new RollcallError('internal', 'openssl made no certificate.');
	const { from, to } = validityOf(certificate);
	const { serialNumber, fingerprint256 } = certificate;
	return { serial: serialNumber, fingerprint256, valid_from: from, valid_to: to };
}
