import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestAuthority } from './authority.js';
import { type Host, TestHosts } from '../hosts/hosts.js';
import { installOn, operation, type Rollout, servingOn } from '../hosts/installed-host.js';

export const names = ['alpha', 'beta', 'gamma'] as const;
export type Name = (typeof names)[number];

export interface ClusterStatus {
	nodes: { name: string; link: string; boot: number | null; version: string | null; ready: boolean | null }[];
}

export interface HostFleetOptions {
	/** As `rollout.lb_wait`; none by default. */
	lbWait?: string;
	/** Rows of `http_workers` beside the app `web`, indented for the file, and what they need below /srv. */
	apps?: string;
	files?: Readonly<Record<string, string>>;
}

/** Three booted hosts with Rollcall installed, linked over TLS; each runs two workers of the app `web` on port 8080. */
export class HostFleet {
	readonly #hosts = new Map<Name, Host>();

	private constructor(
		private readonly bed: TestHosts,
		private readonly network: string,
		private readonly options: HostFleetOptions,
	) {}

	/** `tag` and `network` as for {@link TestHosts}. */
	static async boot(tag: string, network: string, options: HostFleetOptions = {}): Promise<HostFleet> {
		const fleet = new HostFleet(await TestHosts.create(tag, network), network, options);
		const folder = await mkdtemp(join(tmpdir(), 'rc-ca-'));
		try {
			const authority = await TestAuthority.make(folder);
			await Promise.all(names.map((name) => fleet.#install(name, authority)));
			await fleet.linked();
		} catch (error) {
			await fleet.clear();
			throw error;
		} finally {
			await rm(folder, { recursive: true });
		}
		return fleet;
	}

	address(name: Name): string {
		return `${this.network}.${names.indexOf(name) + 1}`;
	}

	host(name: Name): Host {
		const host = this.#hosts.get(name);
		assert.ok(host, `${name} was never booted`);
		return host;
	}

	/** Boots a host, also one that was off. */
	async up(name: Name): Promise<Host> {
		const host = await this.bed.up(name, names.indexOf(name) + 1);
		this.#hosts.set(name, host);
		return host;
	}

	/** Resolves once every node hears every other and all of them are ready. */
	async linked(): Promise<void> {
		for (const host of this.#hosts.values()) {
			await host.until(
				'a whole and ready fleet',
				async () => {
					const { code, stdout } = await host.try(['rollcall', 'cluster_status', '--json']);
					return code === 0 ? (JSON.parse(stdout) as ClusterStatus).nodes : [];
				},
				(nodes) => nodes.length === 3 && nodes.every((node) => node.link !== 'down' && node.ready === true),
				180_000,
			);
		}
	}

	/** Process ids of the workers, node by node, once all of them serve. */
	pids(): Promise<number[][]> {
		return Promise.all(names.map((name) => servingOn(this.host(name), 2)));
	}

	async clear(): Promise<void> {
		await this.bed.clear();
	}

	async #install(name: Name, authority: TestAuthority): Promise<void> {
		const { material } = await authority.issue(name);
		const host = await this.up(name);
		const table = names.map((peer) => `${this.address(peer)} ${peer}`).join('\n');
		await host.write('/etc/hosts', `127.0.0.1 localhost\n${table}\n`);
		for (const [path, text] of Object.entries(this.options.files ?? {})) await host.write(path, text);
		await installOn(host, this.#configuration(name), {
			'/etc/rollcall/tls/ca.pem': material.ca,
			'/etc/rollcall/tls/cert.pem': material.cert,
			'/etc/rollcall/tls/key.pem': material.key,
		});
	}

	#configuration(name: Name): string {
		const { lbWait = '0s', apps = '' } = this.options;
		return `
node: {name: ${name}}
operations_api:
  socket: {group: rollcall}
  health: {host: ${this.address(name)}, port: 9926}
http_workers:
  - name: web
    script: ./server.js
    cwd: /srv/web
    user: web
    instances: 2
    env: {PORT: "8080"}
    health: {path: /healthz, deadline: 60s}
    drain: {timeout: 10s}
${apps}cluster:
  listen: {host: ${this.address(name)}, port: 9933}
  tls: {ca: /etc/rollcall/tls/ca.pem, cert: /etc/rollcall/tls/cert.pem, key: /etc/rollcall/tls/key.pem}
  peers:
${names.map((peer) => `    - {name: ${peer}, url: "wss://${peer}:9933"}`).join('\n')}
rollout: {deadline: 4m, lease: 5s, lb_wait: ${lbWait}}
`;
	}
}

export async function newestRollout(host: Host): Promise<Rollout | undefined> {
	return (await operation<Rollout[]>(host, 'list_rollouts', 'limit=1'))[0];
}

/** Resolves with the newest rollout once it is over; a node that is just restarting is asked again. */
export async function rolloutEnd(host: Host): Promise<Rollout> {
	const ended = await host.until(
		'the end of the rollout',
		() => newestRollout(host).catch(() => undefined),
		(rollout) => rollout !== undefined && ['completed', 'halted', 'aborted'].includes(rollout.state),
		300_000,
	);
	assert.ok(ended);
	return ended;
}
