import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Authority, authorityOf } from '../../config/checks/authorities.js';
import { dayOf, isSignedBy, nodeNamePattern, readCertificates, validityOf } from '../../config/checks/certificates.js';
import { messageOf, RollcallError } from '../../errors.js';
import { z } from '../../zod.js';
import { authorityFiles, issueCertificate, makeAuthority } from '../../system/openssl.js';
import { connect } from '../client/connect.js';
import type { Context } from '../context.js';
import { clean, writeMessage, writeResult } from '../output/terminal.js';
import { authorityName, daysOf, nodeFiles, validityFrom, withinAuthority } from './authority.js';
import {
	addNext,
	type AuthorityFolder,
	endRotation,
	isKeyOf,
	readFolder,
	writeCertificates,
} from './authority-folder.js';
import { ensureFolder, holds, onDisk, place } from './key-files.js';
import {
	authoritiesOfAll,
	listed,
	nameOfAuthority,
	type NodeRow,
	type Rotation,
	rotationSteps,
	rotationText,
	stepTo,
} from './rotation.js';

export interface RotateOptions {
	dir: string;
	/** A file with the answer of `status --json` or `cluster_status --json`; - for standard input. */
	status?: string;
	begin?: boolean;
	days?: string;
}

const daysOfAuthority = '3650';
const daysOfCertificate = '365';

/** What `ca rotate --json` prints. */
interface Outcome {
	/** null: no rotation is under way, or none any more. */
	step: Rotation['step'] | null;
	authority: string;
	/** What was written. */
	files: string[];
	/** The nodes that are to get them. */
	nodes: string[];
}

/**
 * `rollcall ca rotate`: takes the next step from one authority to another that the nodes allow, as they are now. Says what
 * is missing, and changes nothing, while a node is not where the last step was to bring it.
 */
export async function rotate({ options, terminal, session }: Context<RotateOptions>): Promise<number> {
	const days = { authority: daysOf(options.days ?? daysOfAuthority), node: daysOf(options.days ?? daysOfCertificate) };
	const rows = options.status === undefined ? await askDaemon(options, session.signal) : readStatus(options.status);
	const folder = await readFolder(resolve(options.dir), options.dir);
	const rotation = new FolderRotation(folder, rows, days, session.signal);
	const outcome = await rotation.advance(options.begin === true);
	writeResult(terminal, outcome, () => outcomeText(outcome, folder));
	if (outcome.step !== null) writeMessage(terminal, `${wayOn(outcome.step, outcome.nodes, options.dir)}`);
	return 0;
}

class FolderRotation {
	private readonly newest: Authority;
	/** Null outside a rotation. */
	private readonly next: X509Certificate | null;

	constructor(
		private readonly folder: AuthorityFolder,
		private readonly rows: readonly NodeRow[],
		private readonly days: { authority: number; node: number },
		private readonly signal: AbortSignal,
	) {
		this.next = nextIn(folder);
		this.newest = authorityOf(this.next ?? folder.signer);
		assertAllTell(rows);
		assertOfFolder(folder, rows);
	}

	async advance(begins: boolean): Promise<Outcome> {
		const { folder, next } = this;
		const { path, signer, keyFile } = folder;
		if (next === null) {
			this.assertNoneLacks(3);
			if (keyFile !== authorityFiles.key) {
				// An earlier run was interrupted at its very end.
				await endRotation(folder);
				return (await this.reread()).advance(begins);
			}
			return begins ? this.begin() : this.outcome(null, [], []);
		}
		this.assertNoneLacks(1);
		if (!signer.raw.equals(next.raw)) {
			await writeCertificates(path, [next, signer]);
			return (await this.reread()).advance(false);
		}
		const lacking = this.lacking(2);
		if (lacking) return this.issue(lacking);
		await writeCertificates(path, [next]);
		await endRotation(folder);
		const accepting = this.lacking(3)?.lacking.map(({ node }) => node) ?? [];
		return this.outcome(accepting.length > 0 ? 3 : null, [join(path, authorityFiles.cert)], accepting);
	}

	/** Step 1: a new authority beside the old one. */
	private async begin(): Promise<Outcome> {
		const { folder, days, signal } = this;
		const { path, signer, next } = folder;
		if (next) await writeCertificates(path, [signer, next.certificate]);
		else {
			const { from, to } = validityFrom(Date.now(), days.authority);
			// The nodes tell the newer one by its date.
			const later = Math.max(from, validityOf(signer).from + 1_000);
			await addNext(
				folder,
				await onDisk(path, () => makeAuthority(path, authorityName(), { from: later, to }, signal)),
			);
		}
		const all = this.rows.map(({ name }) => name);
		return (await this.reread()).outcome(1, [join(path, authorityFiles.cert)], all);
	}

	/** Step 2: certificates of the new authority, for the nodes that do not present one yet. */
	private async issue(rotation: Rotation): Promise<Outcome> {
		const nodes = rotation.lacking.map(({ node }) => node);
		const files: string[] = [];
		for (const node of nodes) {
			const out = join(this.folder.path, node);
			if (!(await this.has(out))) files.push(...(await this.issueFor(node, out)));
		}
		if (files.length === 0) throw this.unfinished(rotation);
		return this.outcome(2, files, nodes);
	}

	private async reread(): Promise<FolderRotation> {
		const folder = await readFolder(this.folder.path, this.folder.given);
		return new FolderRotation(folder, this.rows, this.days, this.signal);
	}

	/** An earlier run of this command may have issued it; what was copied from there must not be replaced now. */
	private async has(out: string): Promise<boolean> {
		const read = (name: string): Promise<string> => readFile(join(out, name), 'utf8').catch(() => '');
		const [cert, key] = await Promise.all([read('cert.pem'), read('key.pem')]);
		try {
			const chain = readCertificates(cert);
			const [own] = chain;
			const isValid = own !== undefined && validityOf(own).to > Date.now() && isKeyOf(own, key);
			return isValid && isSignedBy(chain, [this.folder.signer]) && (await holds(join(out, 'ca.pem'), this.folder.pem));
		} catch {
			return false;
		}
	}

	private async issueFor(node: string, out: string): Promise<string[]> {
		const { path, keyFile, pem } = this.folder;
		const validity = withinAuthority(validityFrom(Date.now(), this.days.node), this.folder);
		await ensureFolder(out, 'unwritable');
		const made = await onDisk(path, () => issueCertificate(path, node, validity, this.signal, keyFile));
		const files = nodeFiles(out, made, pem);
		await place(files, true);
		return files.map((file) => file.path);
	}

	/** The step that nodes are not through with, if it is `step` or an earlier one. */
	private lacking(step: Rotation['step']): Rotation | null {
		const known = authoritiesOfAll(this.rows);
		const all = known.some(({ id }) => id === this.newest.id) ? known : [...known, this.newest];
		const rotation = stepTo(this.newest, all, this.rows);
		return rotation !== null && rotation.step <= step ? rotation : null;
	}

	private assertNoneLacks(step: Rotation['step']): void {
		const rotation = this.lacking(step);
		if (rotation) throw this.unfinished(rotation);
	}

	private unfinished(rotation: Rotation): RollcallError {
		const nodes = rotation.lacking.map(({ node }) => node);
		const text = `${rotationText(rotation)}. ${wayOn(rotation.step, nodes, this.folder.given)} Nothing was changed.`;
		return new RollcallError('unavailable', clean(text));
	}

	private outcome(step: Outcome['step'], files: string[], nodes: string[]): Outcome {
		return { step, authority: this.newest.name, files, nodes };
	}
}

/** The authority that the other one of `ca.pem` makes way for. Throws `invalid` if the two are none of a rotation. */
function nextIn({ path, signer, others, next }: AuthorityFolder): X509Certificate | null {
	if (others.length === 0) return null;
	const both = [signer, ...others];
	const found = both.find((one) => next?.certificate.raw.equals(one.raw));
	if (both.length === 2 && found) return found;
	const file = join(path, authorityFiles.cert);
	const text = `${file} holds ${both.length} authorities that rollcall ca rotate has not put there; leave the one that signs in it`;
	throw new RollcallError('invalid', `${text}, and put the others into every node's cluster.tls.ca by hand.`);
}

/** Without the facts of one node no step is safe. */
function assertAllTell(rows: readonly NodeRow[]): void {
	for (const { name, link, reason, authorities } of rows) {
		if (authorities) continue;
		const text =
			link === 'down'
				? `${name} is not linked${reason ? ` (${reason})` : ''}, so what it accepts and presents is not known; bring it back, or take it out of cluster.peers of every node.`
				: `${name} does not say which authorities it accepts: its build is of an earlier version, or it has no cluster.tls.`;
		throw new RollcallError('unavailable', clean(`${text} Nothing was changed.`));
	}
}

/** The folder of another fleet must not be brought to this one. */
function assertOfFolder({ given, signer, others }: AuthorityFolder, rows: readonly NodeRow[]): void {
	const own = [signer, ...others].map((one) => authorityOf(one).id);
	const known = authoritiesOfAll(rows);
	for (const { name, authorities } of rows) {
		const presents = authorities?.presents ?? [];
		if (presents.some((id) => own.includes(id))) continue;
		const [id] = presents;
		const whose = nameOfAuthority(known.find((one) => one.id === id) ?? null, known);
		const text = `${name} presents a certificate of ${whose}, which is not in ${given}/ca.pem: is ${given} the folder of this fleet's authority? Nothing was changed.`;
		throw new RollcallError('invalid', clean(text));
	}
}

async function askDaemon(options: Context['options'], signal: AbortSignal): Promise<NodeRow[]> {
	const { client } = await connect(options, signal);
	try {
		return rowsIn(await client.operation('cluster_status'));
	} finally {
		client.close();
	}
}

/** A fleet of a thousand nodes says less. */
const statusBytesMax = 16 * 1024 * 1024;

function readStatus(file: string): NodeRow[] {
	const name = file === '-' ? 'standard input' : file;
	try {
		const text = readFileSync(file === '-' ? 0 : file, 'utf8');
		if (text.length > statusBytesMax) throw new Error(`it is longer than ${statusBytesMax} bytes`);
		return rowsIn(JSON.parse(text));
	} catch (cause) {
		const expected = 'it must hold what rollcall status --json prints on a node of the fleet';
		throw new RollcallError('usage', `--status ${name}: ${messageOf(cause)}; ${expected}.`, {}, { cause });
	}
}

/** What a rotation goes by. A node's name becomes the name of a folder. */
const rowsShape = z
	.array(
		z.object({
			name: z.string().regex(nodeNamePattern),
			link: z.enum(['self', 'up', 'down']),
			reason: z.string().nullable(),
			authorities: z
				.object({
					accepts: z.array(z.object({ id: z.string(), name: z.string(), from: z.number() })),
					presents: z.array(z.string()),
				})
				.nullish()
				.transform((value) => value ?? null),
		}),
	)
	.min(1);

function rowsIn(document: unknown): NodeRow[] {
	const { nodes, fleet } = (document ?? {}) as { nodes?: unknown; fleet?: { nodes?: unknown } };
	const checked = rowsShape.safeParse(fleet?.nodes ?? nodes);
	if (checked.success) return checked.data;
	throw new RollcallError('invalid', 'it names no nodes, or names them in another way');
}

const takeUp = 'rollcall restart_service service=clustering_config replicated=true';

/** What an operator does to bring the nodes through a step. */
function wayOn(step: Rotation['step'], nodes: readonly string[], dir: string): string {
	const what =
		step === 2
			? `Copy the files of ${dir}/NODE to each of ${listed(nodes)}, over those in cluster.tls (/etc/rollcall/tls)`
			: `Copy ${dir}/ca.pem to ${listed(nodes)}, over cluster.tls.ca (/etc/rollcall/tls/ca.pem)`;
	return `${what}; then, on one node: ${takeUp}. Then run this command again.`;
}

const stepText: Readonly<Record<Rotation['step'], string>> = {
	1: 'every node is to accept the new authority beside the old one',
	2: 'every node is to present a certificate of the new authority',
	3: 'every node is to accept the new authority alone',
};

function outcomeText({ step, authority, files }: Outcome, { signer }: AuthorityFolder): string {
	if (step === null && files.length === 0)
		return `no rotation is under way: every node accepts and presents ${clean(authority)} alone, which is valid until ${dayOf(validityOf(signer).to)} (--begin begins one)`;
	if (step === null) return `done: every node accepts and presents ${clean(authority)} alone`;
	const head = `step ${step} of ${rotationSteps}: ${stepText[step]}, ${clean(authority)}`;
	return [head, ...files.map((file) => `  ${file}`)].join('\n');
}
