import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RollcallError } from '../errors.js';

/** What openssl(1) made: a certificate with its private key, as PEM text. */
export interface Issued {
	cert: string;
	key: string;
}

export interface Validity {
	/** ms since 1970; whole seconds count. */
	from: number;
	to: number;
}

/** File names in an authority's folder. */
export const authorityFiles = { cert: 'ca.pem', key: 'ca.key' } as const;

/**
 * A new authority that signs certificates of nodes and nothing else. Nothing but a temporary folder inside `folder`,
 * which must be private, is written, and that is gone afterwards.
 */
export function makeAuthority(folder: string, name: string, validity: Validity, signal: AbortSignal): Promise<Issued> {
	return certify(folder, { name, extensions: 'authority', validity, signer: ['-selfsign', '-keyfile', 'key'] }, signal);
}

/** A new key for a node, and its certificate, signed with the authority's key, which stays where it is. */
export function issueCertificate(
	folder: string,
	node: string,
	validity: Validity,
	signal: AbortSignal,
	/** In the folder, with the key of the first certificate in `ca.pem`. */
	key: string = authorityFiles.key,
): Promise<Issued> {
	const { cert } = authorityFiles;
	const signer = ['-cert', join('..', cert), '-keyfile', join('..', key)];
	return certify(folder, { name: node, extensions: 'node', validity, signer }, signal);
}

interface Order {
	name: string;
	extensions: 'authority' | 'node';
	validity: Validity;
	signer: string[];
}

/** Runs inside a folder of its own, so that no path and no key stands in an argument or in the configuration. */
async function certify(folder: string, { name, extensions, validity, signer }: Order, signal: AbortSignal) {
	const work = await mkdtemp(join(folder, '.new-'));
	try {
		await writeFile(join(work, 'openssl.cnf'), configurationFor(name, extensions), { mode: 0o600 });
		await writeFile(join(work, 'index'), '', { mode: 0o600 });
		const run = (...args: string[]): Promise<void> => openssl(args, work, signal);
		await run('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'key');
		await run('req', '-new', '-config', 'openssl.cnf', '-key', 'key', '-out', 'request');
		await run(
			...['ca', '-batch', '-notext', '-config', 'openssl.cnf', '-extensions', extensions, ...signer],
			...['-startdate', asn1Time(validity.from), '-enddate', asn1Time(validity.to), '-in', 'request', '-out', 'cert'],
		);
		return { cert: await readFile(join(work, 'cert'), 'utf8'), key: await readFile(join(work, 'key'), 'utf8') };
	} finally {
		await rm(work, { recursive: true, force: true });
	}
}

/** Everything that a certificate says stands here; nothing is taken from the host's own openssl.cnf. */
function configurationFor(name: string, extensions: Order['extensions']): string {
	return `[ca]
default_ca = signing

[signing]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = policy
unique_subject = no
copy_extensions = none

[policy]
commonName = supplied

[req]
prompt = no
distinguished_name = subject
string_mask = utf8only

[subject]
CN = ${name}

[authority]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash

[node]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
${extensions === 'node' ? `subjectAltName = DNS:${name}\n` : ''}`;
}

/** YYYYMMDDHHMMSSZ, as openssl-ca(1) takes it. */
const asn1Time = (at: number): string => `${new Date(at).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;

/** The last lines of what openssl says are enough to know what it did not like. */
const complaintCharactersMax = 2_000;

function openssl(args: readonly string[], cwd: string, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		let said = '';
		const child = spawn('openssl', args, {
			cwd,
			signal,
			stdio: ['ignore', 'ignore', 'pipe'],
			env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
		});
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			said = (said + text).slice(-complaintCharactersMax);
		});
		child.once('error', (cause: NodeJS.ErrnoException) => {
			if (cause.code !== 'ENOENT') {
				reject(cause);
				return;
			}
			const text =
				'openssl is not installed, and certificates are made with it. Install it: apt install openssl, dnf install openssl, or apk add openssl.';
			reject(new RollcallError('unavailable', text, {}, { cause }));
		});
		child.once('close', (code, killedBy) => {
			if (code === 0) resolve();
			else {
				const how = killedBy === null ? `ended with ${code}` : `was ended by ${killedBy}`;
				reject(new RollcallError('unavailable', `openssl ${args[0]} ${how}:\n${said.trimEnd()}`));
			}
		});
	});
}
