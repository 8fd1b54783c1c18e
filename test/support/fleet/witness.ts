import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, readProcessStat } from '../../../src/system/proc/process.js';
import { type Load, type LoadReport, startLoad } from '../workers/load.js';

/** A node as somebody outside of Rollcall sees it: where its app answers, and whose children its workers are. */
export interface Witnessed {
	name: string;
	appUrl: string;
	workerDir: string;
}

interface Process {
	pid: number;
	started: number;
	firstSeen: number;
	goneAt: number | null;
	/** When a client first had an answer from it. */
	answeredAt: number | null;
	/** Of which release it said to be. */
	release: string | null;
}

/** What was seen of one node since the beginning: the kernel's word on processes, and the clients' on answers. */
export interface Sighting {
	node: string;
	/** Process ids at the beginning. */
	before: number[];
	/** Those that came since. */
	came: number[];
	/** Those that live now. */
	alive: number[];
	/** Those that live now and from which a client has had an answer. */
	answering: number[];
	/** Of which releases those say to be. */
	releases: string[];
	/** Most of them that lived at one moment. */
	most: number;
	/** From the first moment with another number of workers than at the beginning to the last; null: never. */
	out: { from: number; to: number } | null;
}

const lookMs = 10;
/** Only for processes of the host's cluster; what else it starts for a moment (ps, to end a worker's children) is none. */
function workerSince(pid: number): number | null {
	try {
		const isWorker = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').some(isOfCluster);
		return isWorker ? (readProcessStat(pid)?.started ?? null) : null;
	} catch {
		return null;
	}
}
const isOfCluster = (variable: string): boolean => variable.startsWith('NODE_UNIQUE_ID=');

/**
 * Watches worker processes by what the kernel says of the worker host's children, and asks the apps as clients do. It
 * asks no daemon, so it can tell what the daemons' words are worth.
 */
export class Witness {
	readonly #loads: Map<string, Load>;
	readonly #seen = new Map<string, Process[]>();
	readonly #before = new Map<string, number[]>();
	readonly #most = new Map<string, number>();
	readonly #out = new Map<string, { from: number; to: number }>();
	readonly #together: string[][] = [];
	readonly #timer: NodeJS.Timeout;
	#ended: Promise<Map<string, LoadReport>> | null = null;

	private constructor(
		readonly nodes: readonly Witnessed[],
		ratePerSecond: number,
		slowestMs: number,
	) {
		for (const node of nodes) {
			this.#seen.set(node.name, []);
			this.#look(node);
			this.#before.set(
				node.name,
				this.#of(node.name).map(({ pid }) => pid),
			);
		}
		this.#timer = setInterval(() => this.#lookAtAll(), lookMs);
		this.#loads = new Map(nodes.map((node) => [node.name, this.#ask(node, ratePerSecond / nodes.length, slowestMs)]));
	}

	/** Begins to look and to ask; resolves once every worker that lives has answered somebody. */
	static async begin(nodes: readonly Witnessed[], ratePerSecond = 60, slowestMs = 200): Promise<Witness> {
		const witness = new Witness(nodes, ratePerSecond, slowestMs);
		await witness.answered(8);
		return witness;
	}

	/** Resolves once every node has answered so many requests more. */
	async answered(count: number): Promise<void> {
		await Promise.all([...this.#loads.values()].map((load) => load.answered(count)));
	}

	sighting(name: string): Sighting {
		const all = this.#of(name);
		const before = this.#before.get(name) ?? [];
		const live = all.filter((one) => one.goneAt === null);
		return {
			node: name,
			before,
			came: all.map(({ pid }) => pid).filter((pid) => !before.includes(pid)),
			alive: live.map(({ pid }) => pid),
			answering: live.filter((one) => one.answeredAt !== null).map(({ pid }) => pid),
			releases: [...new Set(live.flatMap(({ release }) => release ?? []))],
			most: this.#most.get(name) ?? 0,
			out: this.#out.get(name) ?? null,
		};
	}

	/** Which nodes had another number of workers than at the beginning at the same moment; each set of names once. */
	get together(): readonly (readonly string[])[] {
		return this.#together;
	}

	/** Stops asking; nothing is looked at afterwards. What became of the requests, by node. */
	end(): Promise<Map<string, LoadReport>> {
		this.#ended ??= this.#end();
		return this.#ended;
	}

	async #end(): Promise<Map<string, LoadReport>> {
		const ends = [...this.#loads].map(async ([name, load]) => [name, await load.stop()] as const);
		const reports = new Map(await Promise.all(ends));
		clearInterval(this.#timer);
		this.#lookAtAll();
		return reports;
	}

	#ask(node: Witnessed, ratePerSecond: number, slowestMs: number): Load {
		return startLoad({
			// Every fourth request takes long, so that there is something to drain.
			urls: [0, 0, 0, slowestMs].map((ms) => `${node.appUrl}?ms=${ms}`),
			ratePerSecond,
			timeoutMs: 30_000,
			onAnswer: (_url, body) => this.#answered(node, body),
		});
	}

	#of(name: string): Process[] {
		return this.#seen.get(name) ?? [];
	}

	#lookAtAll(): void {
		const out = this.nodes.filter((node) => this.#look(node)).map((node) => node.name);
		if (out.length < 2 || this.#together.some((names) => names.join() === out.join())) return;
		this.#together.push(out);
	}

	/** True while the node has another number of workers than at the beginning. */
	#look(node: Witnessed): boolean {
		const now = performance.now();
		const all = this.#of(node.name);
		for (const one of all) if (one.goneAt === null && !isAlive(one)) one.goneAt = now;
		for (const pid of childrenOfHost(node.workerDir)) {
			if (all.some((one) => one.pid === pid && one.goneAt === null)) continue;
			const since = workerSince(pid);
			if (since === null || !isAlive({ pid, started: since })) continue;
			all.push({ pid, started: since, firstSeen: now, goneAt: null, answeredAt: null, release: null });
		}
		const live = all.filter((one) => one.goneAt === null).length;
		this.#most.set(node.name, Math.max(live, this.#most.get(node.name) ?? 0));
		const wanted = this.#before.get(node.name)?.length ?? live;
		if (live === wanted) return false;
		const known = this.#out.get(node.name);
		this.#out.set(node.name, { from: known?.from ?? now, to: now });
		return true;
	}

	#answered(node: Witnessed, body: string): void {
		const { pid, release = '' } = JSON.parse(body) as { pid: number; release?: string };
		const worker = this.#of(node.name).find((one) => one.pid === pid && one.goneAt === null);
		if (!worker) return;
		worker.answeredAt ??= performance.now();
		worker.release ??= release;
	}
}

/** Of the process that holds the worker host's lock; none while there is no host. */
function childrenOfHost(workerDir: string): number[] {
	try {
		const { pid } = JSON.parse(readFileSync(join(workerDir, 'self', 'lock'), 'utf8')) as { pid: number };
		const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
		return text.split(' ').filter(Boolean).map(Number);
	} catch {
		return [];
	}
}
