import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { z } from '../../zod.js';
import { dayOf, nodeNamePattern, readCertificates, validityOf } from '../../config/checks/certificates.js';
import { RollcallError } from '../../errors.js';
import { createAuthority, issueFiles } from '../certificates/authority.js';
import { onDisk, place, readOwnFile, refuseExisting } from '../certificates/key-files.js';
import { fromFlags, type InitFlags } from '../commands/init.js';
import type { Context } from '../context.js';
import { programVersion } from '../install/release.js';
import { shellWord } from '../output/format.js';
import type { fleetShape } from '../output/json-schemas.js';
import { type Column, table } from '../output/table.js';
import { writeMessage, writeResult } from '../output/terminal.js';
import { checkBundle, packBundle } from './bundle.js';
import { copyFor, type FleetNode, newConfiguration, nodesFrom, usersIn, withPeers } from './nodes.js';

/** A fleet at home: a folder with its authority and, for each node, its files (NODE/) and the bundle of them (NODE.tgz). */

export interface FleetOptions {
	dir?: string;
	days: string;
}
export type AppFlags = Pick<
	InitFlags,
	'app' | 'appName' | 'cwd' | 'interpreter' | 'user' | 'instances' | 'port' | 'health'
>;
type FleetDocument = z.infer<typeof fleetShape>;
type NodeRow = FleetDocument['nodes'][number];

const namePattern = /^[a-z0-9][a-z0-9-]{0,31}$/;
const authorityDays = '3650';
const configName = 'rollcall.yaml';

/** `rollcall fleet init NAME`: makes the folder whole, or not at all. */
export async function init(
	{ options, terminal, session }: Context<FleetOptions & AppFlags & { node: string[] }>,
	name: string,
): Promise<number> {
	const nodes = nodesFrom(options.node);
	if (nodes.length < 2) {
		throw new RollcallError('usage', 'A fleet has at least two nodes, and three to survive the loss of one: --node.');
	}
	const folder = folderOf(options, name);
	const { node: _nodes, days, dir: _dir, ...rest } = options;
	const app = fromFlags(appFlagsOf(rest));
	const texts = nodes.map((node) => newConfiguration(node, nodes, app));
	const consequence =
		`rollcall fleet add ${name} adds nodes to a fleet, rollcall fleet renew ${name} makes new certificates; ` +
		'--dir DIR makes another fleet elsewhere';
	await refuseExisting([folder], consequence);
	const suffix = randomBytes(4).toString('hex');
	const fresh = `${folder}.${suffix}.new`;
	try {
		const authority = `Rollcall fleet ${name} ${suffix}`;
		await createAuthority({ dir: fresh, days: authorityDays, name: authority, mayReplace: false }, session.signal);
		// No key of this folder is to be committed by mistake.
		await place([{ path: join(fresh, '.gitignore'), text: '*\n', mode: 0o644 }], false);
		const rows: NodeRow[] = [];
		for (const [index, node] of nodes.entries()) {
			rows.push(await makeNode(fresh, { node: node.name, text: texts[index] ?? '', days }, session.signal));
		}
		await onDisk(folder, () => rename(fresh, folder));
		const steps = [stepOf(nodes, newHostLines(usersIn(texts[0] ?? '')))];
		answer(terminal, { fleet: name, folder, nodes: rows, steps });
	} finally {
		await rm(fresh, { recursive: true, force: true });
	}
	writeMessage(terminal, `Keep ${join(folder, 'ca.key')} off the hosts: with it anyone can add nodes to this fleet.`);
	return 0;
}

/** `rollcall fleet add NAME`: bundles for further nodes, and new ones for those that are there. Run again, it continues where it stopped. */
export async function add(
	{ options, terminal, session }: Context<FleetOptions & { node: string[] }>,
	name: string,
): Promise<number> {
	const folder = folderOf(options, name);
	const added = nodesFrom(options.node);
	const names = await nodesIn(folder, name);
	const present = names.filter((one) => !added.some((node) => node.name === one));
	const known = added.find((node) => names.includes(node.name));
	if (known !== undefined) {
		const remedy = `rollcall fleet renew ${name} ${known.name} makes a new certificate for it`;
		throw new RollcallError('invalid', `${known.name} is a node of this fleet already: ${remedy}.`);
	}
	if (present.length <= added.length) {
		const most = present.length - 1;
		const text = `A change must leave the nodes that are there (${present.length}) more than half of the fleet`;
		throw new RollcallError('invalid', `${text}: add at most ${most} at a time.`);
	}
	const before = new Map<string, string>();
	for (const node of present) before.set(node, await configurationIn(folder, node));
	const model = before.get(present[0] ?? '') ?? '';
	const changed = new Map([...before].map(([node, text]) => [node, withPeers(text, added)]));
	const texts = new Map(added.map((node) => [node.name, copyFor(model, node, added)]));
	await refuseExisting(
		added.flatMap((node) => [join(folder, node.name), bundlePath(folder, node.name)]),
		'it is of no node of this fleet; move it away',
	);
	const rows: NodeRow[] = [];
	// The new nodes come last: until they are there, the same command begins again.
	for (const [node, text] of changed) {
		if (text !== before.get(node)) await placeConfiguration(folder, node, text);
		rows.push(await writeBundle(folder, node));
	}
	for (const [node, text] of texts) {
		rows.push(await makeNode(folder, { node, text, days: options.days }, session.signal));
	}
	const steps = [
		{ hosts: present, lines: ['rollcall install --bundle NODE.tgz --force'] },
		stepOf(added, newHostLines(usersIn(model))),
		{ hosts: [], lines: ['rollcall restart_service service=clustering_config replicated=true'] },
	];
	answer(terminal, { fleet: name, folder, nodes: rows, steps });
	return 0;
}

/** `rollcall fleet renew NAME [NODE...]`: a new key, certificate and bundle for each. */
export async function renew(
	{ options, terminal, session }: Context<FleetOptions>,
	name: string,
	wanted: readonly string[],
): Promise<number> {
	const folder = folderOf(options, name);
	const names = await nodesIn(folder, name);
	const unknown = wanted.find((node) => !names.includes(node));
	if (unknown !== undefined) {
		const text = `${JSON.stringify(unknown)} is no node of this fleet, which has ${names.join(', ')}`;
		throw new RollcallError('invalid', `${text}. rollcall fleet add ${name} --node NAME=HOST adds one.`);
	}
	const nodes = wanted.length > 0 ? names.filter((node) => wanted.includes(node)) : names;
	const rows: NodeRow[] = [];
	for (const node of nodes) {
		const order = { dir: folder, days: options.days, node, out: join(folder, node), mayReplace: true };
		await issueFiles(order, session.signal);
		rows.push(await writeBundle(folder, node));
	}
	const steps = [{ hosts: nodes, lines: ['rollcall install --bundle NODE.tgz'] }];
	answer(terminal, { fleet: name, folder, nodes: rows, steps });
	return 0;
}

function folderOf({ dir }: FleetOptions, name: string): string {
	if (namePattern.test(name)) return resolve(dir ?? name);
	const got = JSON.stringify(name);
	throw new RollcallError('usage', `A fleet's name is 1 to 32 characters out of a-z, 0-9 and -; got ${got}.`);
}

function appFlagsOf(flags: AppFlags): InitFlags {
	const { app, appName, cwd, interpreter, user, instances, port, health } = flags;
	const given = Object.entries({ app, appName, cwd, interpreter, user, instances, port, health });
	return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** Those whose folder has a configuration, by name. */
async function nodesIn(folder: string, name: string): Promise<string[]> {
	const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
	const nodes = entries
		.filter((entry) => entry.isDirectory() && nodeNamePattern.test(entry.name))
		.map((entry) => entry.name)
		.filter((node) => existsSync(join(folder, node, configName)))
		.sort();
	if (nodes.length > 0) return nodes;
	const remedy = `rollcall fleet init ${name} --node NAME=HOST … makes one, --dir DIR names its folder`;
	throw new RollcallError('invalid', `There is no fleet in ${folder}: ${remedy}.`);
}

const bundlePath = (folder: string, node: string): string => join(folder, `${node}.tgz`);

const configurationIn = (folder: string, node: string): Promise<string> =>
	readOwnFile(join(folder, node, configName), 'open', 'rollcall fleet init makes one');

const placeConfiguration = (folder: string, node: string, text: string): Promise<void> =>
	place([{ path: join(folder, node, configName), text, mode: 0o600 }], true);

/** Makes a node's files in a folder that gets its name once they are whole, and then its bundle. */
async function makeNode(
	folder: string,
	{ node, text, days }: { node: string; text: string; days: string },
	signal: AbortSignal,
): Promise<NodeRow> {
	const fresh = join(folder, `.${node}.new`);
	await rm(fresh, { recursive: true, force: true });
	try {
		await issueFiles({ dir: folder, days, node, out: fresh, mayReplace: false }, signal);
		await place([{ path: join(fresh, configName), text, mode: 0o600 }], false);
		await onDisk(fresh, () => rename(fresh, join(folder, node)));
	} finally {
		await rm(fresh, { recursive: true, force: true });
	}
	return await writeBundle(folder, node);
}

/** Packs what stands in a node's folder, once it is known that a node can run with it. */
async function writeBundle(folder: string, node: string): Promise<NodeRow> {
	const read = (name: string, kind: 'open' | 'secret') =>
		readOwnFile(join(folder, node, name), kind, `rollcall fleet renew makes a new one`);
	const text = await configurationIn(folder, node);
	const [ca, cert, key] = [
		await read('ca.pem', 'open'),
		await read('cert.pem', 'open'),
		await read('key.pem', 'secret'),
	];
	const bundle = checkBundle(text, { ca, cert, key });
	if (bundle.node !== node) {
		const path = join(folder, node, configName);
		throw new RollcallError('invalid', `${path} has the node.name ${bundle.node}, and its folder is that of ${node}.`);
	}
	await place([{ path: bundlePath(folder, node), text: packBundle(bundle), mode: 0o600 }], true);
	const [certificate] = readCertificates(cert);
	const url = bundle.config.cluster?.peers.find((peer) => peer.name === node)?.url ?? null;
	return { node, url, bundle: `${node}.tgz`, valid_to: certificate ? validityOf(certificate).to : 0 };
}

/** Commands to type on these hosts; NODE stands for the name of each. Without hosts: on any one of them. */
type HostStep = FleetDocument['steps'][number];

const stepOf = (nodes: readonly FleetNode[], lines: string[]): HostStep => ({
	hosts: nodes.map(({ name }) => name),
	lines,
});

const newHostLines = (users: readonly string[]): string[] => [
	`apt install ./rollcall_${programVersion()}_all.deb`,
	...users.map(shellWord).map((user) => `id -u ${user} || useradd --system --shell /usr/sbin/nologin ${user}`),
	'rollcall install --bundle NODE.tgz --now',
];

function answer(terminal: Context['terminal'], document: FleetDocument): void {
	writeResult(terminal, document, () => textOf(document));
}

function textOf({ fleet, folder, nodes, steps }: FleetDocument): string {
	const columns: Column<NodeRow>[] = [
		{ title: 'NODE', value: ({ node }) => node },
		{ title: 'ADDRESS', value: ({ url }) => url },
		{ title: 'VALID UNTIL', value: ({ valid_to }) => dayOf(valid_to) },
		{ title: 'BUNDLE', value: ({ bundle }) => join(folder, bundle) },
	];
	const lines = steps.flatMap(({ hosts, lines: typed }) => [
		'',
		hosts.length === 0 ? 'Then, on any node:' : `On ${hosts.join(', ')}, as root, beside the bundle of that host:`,
		...typed.map((line) => `  ${line.replace('NODE', hosts.length === 1 ? (hosts[0] ?? '') : 'NODE')}`),
	]);
	return [`fleet ${fleet}`, '', table(nodes, columns), ...lines].join('\n');
}
