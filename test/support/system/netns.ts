import { execFileSync } from 'node:child_process';

/**
 * Network namespaces on one bridge, a node in each, cut from one another by nftables. Needs root, iproute2, nftables and
 * nsenter. Whoever runs in the first namespace reaches all of them whatever is cut between them.
 */
export class Networks {
	readonly #bridge: string;
	readonly #subnet: number;

	private constructor(
		readonly names: readonly string[],
		readonly id: string,
	) {
		this.#bridge = `rcb${id}`;
		this.#subnet = process.pid % 250;
	}

	/** Makes them; throws saying what is missing. */
	static make(names: readonly string[]): Networks {
		for (const [tool, words] of Object.entries({ ip: ['-V'], nft: ['-v'], nsenter: ['-V'] })) requireTool(tool, words);
		const networks = new Networks(names, process.pid.toString(36));
		try {
			networks.#up();
		} catch (error) {
			networks.remove();
			throw error;
		}
		return networks;
	}

	addressOf(name: string): string {
		return `10.83.${this.#subnet}.${this.names.indexOf(name) + 1}`;
	}

	/** Words before a command that run it in the node's network. */
	launcher(name: string): string[] {
		return ['nsenter', `--net=/run/netns/${this.#namespace(name)}`];
	}

	/** Nothing that `from` sends reaches `to` any more; silently, as a broken path does it. */
	cut(from: string, to: string): void {
		const rule = `ip saddr ${this.addressOf(from)} drop`;
		this.#in(to, 'nft', 'add table inet cut');
		this.#in(to, 'nft', 'add chain inet cut in { type filter hook input priority -10; }');
		this.#in(to, 'nft', `add rule inet cut in ${rule}`);
	}

	/** Both ways, between a node and all others. */
	isolate(name: string): void {
		for (const other of this.names) {
			if (other === name) continue;
			this.cut(name, other);
			this.cut(other, name);
		}
	}

	heal(): void {
		for (const name of this.names) {
			this.#in(name, 'nft', 'add table inet cut');
			this.#in(name, 'nft', 'delete table inet cut');
		}
	}

	remove(): void {
		for (const name of this.names) attempt('ip', 'netns', 'del', this.#namespace(name));
		attempt('ip', 'link', 'del', this.#bridge);
	}

	#namespace(name: string): string {
		return `rc${this.id}-${name}`;
	}

	#up(): void {
		run('ip', 'link', 'add', this.#bridge, 'type', 'bridge');
		run('ip', 'addr', 'add', `10.83.${this.#subnet}.254/24`, 'dev', this.#bridge);
		run('ip', 'link', 'set', this.#bridge, 'up');
		for (const [index, name] of this.names.entries()) {
			const namespace = this.#namespace(name);
			const outer = `rcv${this.id}${index}`;
			run('ip', 'netns', 'add', namespace);
			run('ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
			run('ip', 'link', 'set', outer, 'master', this.#bridge, 'up');
			run('ip', '-n', namespace, 'addr', 'add', `${this.addressOf(name)}/24`, 'dev', 'eth0');
			run('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
			run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
		}
	}

	#in(name: string, program: string, ...words: string[]): void {
		run(...(this.launcher(name) as [string]), program, ...words);
	}
}

function run(program: string, ...words: string[]): void {
	execFileSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function attempt(program: string, ...words: string[]): void {
	try {
		run(program, ...words);
	} catch {
		// It was not there.
	}
}

function requireTool(tool: string, words: readonly string[]): void {
	try {
		run(tool, ...words);
	} catch (cause) {
		throw new Error(`${tool} cannot be run: install iproute2, nftables and util-linux, and run as root`, { cause });
	}
}
