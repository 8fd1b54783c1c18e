import { isIP, isIPv4 } from 'node:net';
import { type Document, isMap, isSeq, parseDocument } from 'yaml';
import { nodeNamePattern } from '../../config/checks/certificates.js';
import { defaultTlsFiles, configurationTemplate, type TemplateOptions } from '../../config/publish/template.js';
import { RollcallError } from '../../errors.js';

/** A node as `--node NAME=HOST[:PORT]` has it. */
export interface FleetNode {
	name: string;
	/** Where the other nodes reach it. */
	url: string;
	/** Where it accepts them. */
	listen: { host: string; port: number };
}

const portDefault = 9933;
const hostNamePattern =
	/^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

/** Throws `usage` for what is no node, and for a name or an address that stands there twice. */
export function nodesFrom(given: readonly string[]): FleetNode[] {
	const nodes = given.map(nodeFrom);
	for (const [index, node] of nodes.entries()) {
		const twin = nodes.slice(0, index).find(({ name, url }) => name === node.name || url === node.url);
		if (twin === undefined) continue;
		const what = twin.name === node.name ? `The node ${node.name}` : `The address of ${node.name}`;
		throw new RollcallError('usage', `${what} stands there twice: every node has its own name and address.`);
	}
	return nodes;
}

function nodeFrom(text: string): FleetNode {
	const [name = '', ...rest] = text.split('=');
	const address = rest.join('=');
	if (!nodeNamePattern.test(name)) {
		throw refused(text, `its name is not 1 to 63 characters out of a-z, 0-9 and -`);
	}
	const [, bracketed, plain, typedPort] = /^(?:\[([^\]]*)\]|([^:]*))(?::([0-9]{1,5}))?$/.exec(address) ?? [];
	const host = isIP(address) === 6 ? address : (bracketed ?? plain ?? '');
	const version = isIP(host);
	const port = typedPort === undefined || host === address ? portDefault : Number(typedPort);
	const isName = bracketed === undefined && hostNamePattern.test(host) && !/^[0-9.]+$/.test(host);
	if (version === 0 ? !isName : bracketed !== undefined && version !== 6) throw refused(text, 'its host is none');
	if (/^[0.]+$|^[0:]+$/.test(host)) throw refused(text, 'no other node reaches that address');
	if (port < 1 || port > 65_535) throw refused(text, 'a port is a number from 1 to 65535');
	const written = version === 6 ? `[${host}]` : host.toLowerCase();
	return {
		name,
		url: `wss://${written}:${port}`,
		listen: { host: version === 6 && !isIPv4(host) ? '::' : '0.0.0.0', port },
	};
}

const refused = (text: string, reason: string): RollcallError =>
	new RollcallError('usage', `--node must be NAME=HOST or NAME=HOST:PORT; in ${JSON.stringify(text)} ${reason}.`);

/** The configuration of one of the nodes of a new fleet; `app` has its first app. */
export function newConfiguration(node: FleetNode, nodes: readonly FleetNode[], app: TemplateOptions): string {
	const { host, port } = node.listen;
	return configurationTemplate({
		...app,
		name: node.name,
		listen: `${host === '::' ? '[::]' : host}:${port}`,
		peers: nodes.map(({ name, url }) => `${name}=${url}`),
		tls: defaultTlsFiles,
	});
}

/** The configuration with these nodes among its peers, comments kept. Throws `invalid` where one stands there with another address. */
export function withPeers(text: string, added: readonly FleetNode[]): string {
	const document = documentOf(text);
	addPeers(document, added);
	return document.toString({ lineWidth: 0 });
}

/** The configuration of another node as one of these has it: its apps and settings, under its own name and address, in no zone. */
export function copyFor(text: string, node: FleetNode, added: readonly FleetNode[]): string {
	const document = documentOf(text);
	addPeers(document, added);
	document.setIn(['node', 'name'], node.name);
	document.deleteIn(['node', 'zone']);
	document.setIn(['cluster', 'listen', 'host'], node.listen.host);
	document.setIn(['cluster', 'listen', 'port'], node.listen.port);
	return document.toString({ lineWidth: 0 });
}

/** The system users that the apps of a configuration run as, but for the one that the install makes. */
export function usersIn(text: string): string[] {
	const apps = documentOf(text).getIn(['http_workers']);
	if (!isSeq(apps)) return [];
	const users = apps.items.flatMap((app) => (isMap(app) && app.has('user') ? [String(app.get('user'))] : []));
	return [...new Set(users)];
}

function documentOf(text: string): Document {
	const document = parseDocument(text);
	if (document.errors[0] === undefined) return document;
	throw new RollcallError('configuration', `The configuration is no YAML: ${document.errors[0].message}`);
}

function addPeers(document: Document, added: readonly FleetNode[]): void {
	const peers = document.getIn(['cluster', 'peers']);
	if (!isSeq(peers)) throw new RollcallError('invalid', 'The configuration has no list cluster.peers to add nodes to.');
	const present = peers.items.flatMap((peer) =>
		isMap(peer) ? [{ name: String(peer.get('name')), url: String(peer.get('url')) }] : [],
	);
	for (const { name, url } of added) {
		const same = present.find((peer) => peer.name === name || peer.url === url);
		if (same === undefined) document.addIn(['cluster', 'peers'], document.createNode({ name, url }));
		else if (same.name !== name || same.url !== url) {
			const text = `The fleet has ${same.name} at ${same.url} already`;
			throw new RollcallError('invalid', `${text}: every node has its own name and address.`);
		}
	}
}
