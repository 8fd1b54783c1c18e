import { Worker } from 'node:worker_threads';
import PQueue from 'p-queue';
import type { HostAnswer, HostAnswers, HostCall, HostQuestion } from './systeminformation.js';

/** Facts about the host, each asked in a thread of its own, kept briefly, and null when they cannot be had in time. */
export interface HostFacts {
	/**
	 * Answers from memory up to `boundMs`, and refreshes values older than `freshMs` after the answer. Beyond the bound it
	 * asks, and takes at most the time limit: an older answer, if there is one, is then better than none; else null. A call
	 * that hangs (a dead NFS mount behind df) is not asked again before it came back.
	 */
	ask<Call extends HostCall>(call: Call, age: Age): Promise<HostAnswers[Call] | null>;
	/** Ends the thread. Asking again starts a new one. */
	close(): Promise<void>;
}

/** How old an answer may be, in ms. */
export interface Age {
	/** A value younger than this is answered from memory. */
	freshMs: number;
	/** Up to here it is answered while it is refreshed; at least `freshMs`. */
	boundMs: number;
}

export interface HostFactsOptions {
	/** Longest one question may take, in ms. */
	timeoutMs?: number;
	/** The thread leaves after so many ms without a question; it costs about 10 MB. */
	idleMs?: number;
	onFault?: (call: HostCall, reason: string) => void;
}

/** More at once would only take the processors from the workers: most calls are a shell with a handful of programs. */
const callsAtOnce = 4;

/** A refresh behind an answer may stop the thread in a shell: it begins when the rest of the same answer has left. */
const refreshDelayMs = 200;

/** The thread and its shells get this and nothing of the daemon's environment, which may hold a password. */
const shellEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

interface Kept {
	value: unknown;
	at: number;
}

export function createHostFacts(options: HostFactsOptions = {}): HostFacts {
	const { timeoutMs = 4_000, idleMs = 60_000, onFault = () => undefined } = options;
	const queue = new PQueue({ concurrency: callsAtOnce });
	const kept = new Map<HostCall, Kept>();
	const underWay = new Map<HostCall, Promise<void>>();
	const thread = createThread(idleMs);

	function refresh(call: HostCall): Promise<void> {
		const present = underWay.get(call);
		if (present) return present;
		const asked = queue
			.add(() => thread.ask(call))
			.then(
				(value) => void kept.set(call, { value, at: performance.now() }),
				(error: unknown) => onFault(call, String(error)),
			)
			.finally(() => underWay.delete(call));
		underWay.set(call, asked);
		return asked;
	}

	async function ask<Call extends HostCall>(call: Call, age: Age): Promise<HostAnswers[Call] | null> {
		const present = kept.get(call);
		const ageMs = present ? performance.now() - present.at : Number.POSITIVE_INFINITY;
		if (ageMs > age.boundMs) await atMost(timeoutMs, refresh(call));
		else if (ageMs > age.freshMs) setTimeout(() => void refresh(call), refreshDelayMs).unref();
		return (kept.get(call)?.value as HostAnswers[Call] | undefined) ?? null;
	}

	return { ask, close: () => thread.close() };
}

async function atMost(ms: number, promise: Promise<void>): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const limit = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, ms);
	});
	await Promise.race([promise, limit]);
	clearTimeout(timer);
}

interface Pending {
	resolve: (value: unknown) => void;
	reject: (error: Error) => void;
}

/** The thread as a function: started by the first question, ended after a while without a question, or when it breaks. */
function createThread(idleMs: number): { ask(call: HostCall): Promise<unknown>; close(): Promise<void> } {
	const pending = new Map<number, Pending>();
	let worker: Worker | null = null;
	let idle: NodeJS.Timeout | undefined;
	let sequence = 0;

	function start(): Worker {
		const started = new Worker(new URL('./systeminformation.js', import.meta.url), {
			name: 'system_information',
			env: shellEnvironment,
			// Its output is noise of shells; read and dropped, so that it cannot reach the daemon's JSON lines.
			stdout: true,
			stderr: true,
			resourceLimits: { maxOldGenerationSizeMb: 64 },
		});
		started.stdout.resume();
		started.stderr.resume();
		started.unref();
		started.on('message', (answer: HostAnswer) => {
			const waiting = pending.get(answer.id);
			pending.delete(answer.id);
			if ('error' in answer) waiting?.reject(new Error(answer.error));
			else waiting?.resolve(answer.value);
		});
		started.on('error', (error) => lost(started, error));
		started.on('exit', () => lost(started, new Error('The thread of system_information ended.')));
		return started;
	}

	function lost(which: Worker, error: Error): void {
		if (worker !== which) return;
		worker = null;
		for (const waiting of pending.values()) waiting.reject(error);
		pending.clear();
	}

	async function close(): Promise<void> {
		clearTimeout(idle);
		await worker?.terminate();
	}

	function ask(call: HostCall): Promise<unknown> {
		clearTimeout(idle);
		idle = setTimeout(() => void close(), idleMs).unref();
		worker ??= start();
		const question: HostQuestion = { id: ++sequence, call };
		const asked = new Promise<unknown>((resolve, reject) => pending.set(question.id, { resolve, reject }));
		worker.postMessage(question);
		return asked;
	}

	return { ask, close };
}
