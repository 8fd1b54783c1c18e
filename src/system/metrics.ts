/**
 * The only file that imports prom-client: what Rollcall counts and measures, under the naming rules that promtool checks
 * (base units, `_total` on counters alone). Every label takes its values from a closed set or from the configuration (app,
 * node), so that no caller can make the number of series grow; a worker and a release have series while the worker lives.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface LinkSample {
	node: string;
	connected: boolean;
	rtt_ms: number | null;
	sent: number;
	received: number;
	reconnects: number;
}

export interface WorkerSample {
	app: string;
	id: string;
	state: string;
	release: string;
	revision: string | null;
	/** Bytes. */
	memory: number | null;
	/** Per cent of one processor. */
	cpu: number | null;
}

/** Values that are read at each scrape, not written at each change. */
export interface MetricSources {
	/** Workers per app and state. */
	workers(): readonly WorkerSample[];
	apps(): readonly { app: string; wanted: number; healthy: number }[];
	links(): readonly LinkSample[];
	ready(): boolean;
	/** What this node presents: the key of the configuration, and when it expires, in ms since 1970. */
	certificates(): readonly { key: string; expiresAt: number }[];
	/** The rollout that has not ended, else the newest; `nodes`: the state of each. null: none is known. */
	rollout(): { state: string; nodes: readonly string[] } | null;
}

export interface Metrics {
	/** `status` is the HTTP status; `operation` the name in the table, or `unknown`. */
	operation(operation: string, status: number, seconds: number): void;
	/** A worker was started anew: crash, liveness, memory, rollout, host. */
	workerRestarted(app: string, reason: string): void;
	/** A rollout ended: completed, halted, aborted; `type` restart or restart_service. */
	rolloutEnded(type: string, state: string): void;
	/** A node's step ended: back, refused, failed. */
	stepEnded(outcome: string, seconds: number): void;
	/** A record file was damaged, cut or could not be written. */
	recordError(store: string): void;
	/** Sets where worker, link and readiness figures are looked up. */
	observe(sources: MetricSources): void;
	/** Prometheus text, format 0.0.4. */
	text(): Promise<string>;
	readonly contentType: string;
	/** What is counted and measured, for the manual. */
	series(): SeriesDescription[];
	/** The attribute `metrics` of system_information. */
	snapshot(): Promise<MetricsSnapshot>;
}

export interface SeriesDescription {
	name: string;
	type: string;
	labels: readonly string[];
	help: string;
}

export interface MetricsSnapshot {
	operations: { operation: string; status: string; count: number; seconds_sum: number; seconds_mean: number }[];
	rollouts: { type: string; state: string; count: number }[];
	rollout_steps: { outcome: string; count: number; seconds_sum: number; seconds_mean: number }[];
	workers: { app: string; state: string; count: number }[];
	worker_restarts: { app: string; reason: string; count: number }[];
	links: { node: string; up: boolean; rtt_ms: number | null; sent: number; received: number; reconnects: number }[];
	record_errors: { store: string; count: number }[];
}

const noSources: MetricSources = {
	workers: () => [],
	apps: () => [],
	links: () => [],
	ready: () => false,
	certificates: () => [],
	rollout: () => null,
};

/** prom-client names three gauges `_total`, which Prometheus keeps for counters. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

export function createMetrics(version: string): Metrics {
	const registry = new Registry();
	collectDefaultMetrics({ register: registry });
	for (const name of misnamed) registry.removeSingleMetric(name);
	let sources = noSources;
	const counts = createCounts(registry);
	createLookups(registry, () => sources);
	new Gauge({
		name: 'rollcall_build_info',
		help: 'Constant 1; the label says which version of Rollcall runs.',
		labelNames: ['version'],
		registers: [registry],
	}).set({ version }, 1);

	return {
		operation: (operation, status, seconds) =>
			counts.operations.observe({ operation, status: String(status) }, seconds),
		workerRestarted: (app, reason) => counts.restarts.inc({ app, reason }),
		rolloutEnded: (type, state) => counts.rollouts.inc({ type, state }),
		stepEnded: (outcome, seconds) => counts.steps.observe({ outcome }, seconds),
		recordError: (store) => counts.recordErrors.inc({ store }),
		observe: (given) => {
			sources = given;
		},
		text: () => registry.metrics(),
		contentType: registry.contentType,
		series: () => registry.getMetricsAsArray().map(describe),
		snapshot: () => takeSnapshot(counts, sources),
	};
}

/** The types of prom-client leave the label names out. */
function describe(metric: { name: string; type: unknown; help: string; labelNames?: unknown }): SeriesDescription {
	const { name, type, help, labelNames } = metric;
	return { name, type: String(type), help, labels: Array.isArray(labelNames) ? labelNames.map(String) : [] };
}

interface Counts {
	operations: Histogram<'operation' | 'status'>;
	restarts: Counter<'app' | 'reason'>;
	rollouts: Counter<'type' | 'state'>;
	steps: Histogram<'outcome'>;
	recordErrors: Counter<'store'>;
}

function createCounts(registry: Registry): Counts {
	const registers = [registry];
	return {
		operations: new Histogram({
			name: 'rollcall_operation_duration_seconds',
			help: 'Time to answer an operation, by its name and the HTTP status of the answer.',
			labelNames: ['operation', 'status'],
			buckets: [0.002, 0.01, 0.05, 0.25, 1, 5, 30],
			registers,
		}),
		restarts: new Counter({
			name: 'rollcall_worker_restarts_total',
			help: 'Workers started anew, by app and reason (crash, liveness, memory, rollout, host).',
			labelNames: ['app', 'reason'],
			registers,
		}),
		rollouts: new Counter({
			name: 'rollcall_rollouts_total',
			help: 'Rollouts that ended on this node as coordinator, by type and final state.',
			labelNames: ['type', 'state'],
			registers,
		}),
		steps: new Histogram({
			name: 'rollcall_rollout_step_duration_seconds',
			help: 'Time that the restart of this node took within a rollout, by outcome (back, refused, failed).',
			labelNames: ['outcome'],
			buckets: [0.5, 1, 2.5, 5, 10, 30, 60, 300],
			registers,
		}),
		recordErrors: new Counter({
			name: 'rollcall_record_errors_total',
			help: 'Records that were damaged, cut short or could not be written, by store.',
			labelNames: ['store'],
			registers,
		}),
	};
}

/** Figures that other rooms keep anyway; read when asked, so that they can never disagree with those rooms. */
function createLookups(registry: Registry, sources: () => MetricSources): void {
	const registers = [registry];
	new Gauge({
		name: 'rollcall_ready',
		help: '1 when this node is ready to take traffic, else 0.',
		registers,
		collect() {
			this.set(sources().ready() ? 1 : 0);
		},
	});
	new Gauge({
		name: 'rollcall_workers',
		help: 'Http workers, by app and state.',
		labelNames: ['app', 'state'],
		registers,
		collect() {
			this.reset();
			for (const worker of sources().workers()) this.inc({ app: worker.app, state: worker.state });
		},
	});
	new Gauge({
		name: 'rollcall_release_info',
		help: 'Constant 1 for each release that a worker runs; the labels say the path of its script and its revision.',
		labelNames: ['app', 'path', 'revision'],
		registers,
		collect() {
			this.reset();
			for (const { app, state, release, revision } of sources().workers())
				if (state !== 'failed') this.set({ app, path: release, revision: revision ?? '' }, 1);
		},
	});
	gauge('rollcall_wanted_workers', 'Http workers that the configuration asks for.', ['app'], () =>
		sources()
			.apps()
			.map(({ app, wanted }) => ({ labels: { app }, value: wanted })),
	);
	gauge('rollcall_healthy_workers', 'Http workers that have joined and are healthy.', ['app'], () =>
		sources()
			.apps()
			.map(({ app, healthy }) => ({ labels: { app }, value: healthy })),
	);
	gauge('rollcall_worker_resident_memory_bytes', 'Resident memory of a worker.', ['app', 'worker'], () =>
		sources()
			.workers()
			.map(({ app, id, memory }) => ({ labels: { app, worker: id }, value: memory })),
	);
	gauge(
		'rollcall_worker_processor_ratio',
		'Share of one processor that a worker used between its last two reports: 1 is one processor.',
		['app', 'worker'],
		() =>
			sources()
				.workers()
				.map(({ app, id, cpu }) => ({ labels: { app, worker: id }, value: cpu === null ? null : cpu / 100 })),
	);
	gauge(
		'rollcall_certificate_expiry_timestamp_seconds',
		'When the first certificate of a file in use expires, since 1970, by the key of the configuration that names it.',
		['key'],
		() =>
			sources()
				.certificates()
				.map(({ key, expiresAt }) => ({ labels: { key }, value: expiresAt / 1_000 })),
	);
	gauge(
		'rollcall_rollout_state',
		'Constant 1; the label says the state of the rollout that has not ended, else of the newest one.',
		['state'],
		() => {
			const rollout = sources().rollout();
			return rollout === null ? [] : [{ labels: { state: rollout.state }, value: 1 }];
		},
	);
	gauge('rollcall_rollout_nodes', 'Nodes of that rollout, by state.', ['state'], () => {
		const counts = new Map<string, number>();
		for (const state of sources().rollout()?.nodes ?? []) counts.set(state, (counts.get(state) ?? 0) + 1);
		return [...counts].map(([state, value]) => ({ labels: { state }, value }));
	});
	linkGauge('rollcall_link_up', 'Whether the link to the peer is up: 1 or 0.', (link) => (link.connected ? 1 : 0));
	linkGauge('rollcall_link_round_trip_seconds', 'Last round trip of the link to the peer.', (link) =>
		link.connected && link.rtt_ms !== null ? link.rtt_ms / 1_000 : null,
	);
	linkCounter('rollcall_link_sent_messages_total', 'Messages sent to the peer.', (link) => link.sent);
	linkCounter('rollcall_link_received_messages_total', 'Messages received from the peer.', (link) => link.received);
	linkCounter(
		'rollcall_link_reconnects_total',
		'How often the link to the peer was made anew.',
		(link) => link.reconnects,
	);

	/** A value of null has no series. */
	function gauge(
		name: string,
		help: string,
		labelNames: readonly string[],
		rows: () => readonly { labels: Record<string, string>; value: number | null }[],
	): void {
		new Gauge({
			name,
			help,
			labelNames: [...labelNames],
			registers,
			collect() {
				this.reset();
				for (const { labels, value } of rows()) if (value !== null) this.set(labels, value);
			},
		});
	}
	function linkGauge(name: string, help: string, value: (link: LinkSample) => number | null): void {
		new Gauge({
			name,
			help,
			labelNames: ['node'],
			registers,
			collect() {
				this.reset();
				for (const link of sources().links()) {
					const measured = value(link);
					if (measured !== null) this.set({ node: link.node }, measured);
				}
			},
		});
	}
	function linkCounter(name: string, help: string, value: (link: LinkSample) => number): void {
		new Counter({
			name,
			help,
			labelNames: ['node'],
			registers,
			collect() {
				this.reset();
				for (const link of sources().links()) this.inc({ node: link.node }, value(link));
			},
		});
	}
}

async function takeSnapshot(counts: Counts, sources: MetricSources): Promise<MetricsSnapshot> {
	const text = (value: string | number | undefined): string => String(value ?? '');
	const workers = new Map<string, { app: string; state: string; count: number }>();
	for (const { app, state } of sources.workers()) {
		const key = `${app} ${state}`;
		workers.set(key, { app, state, count: (workers.get(key)?.count ?? 0) + 1 });
	}
	return {
		operations: (await durations(counts.operations)).map(({ labels, ...figures }) => ({
			operation: text(labels.operation),
			status: text(labels.status),
			...figures,
		})),
		rollouts: (await counts.rollouts.get()).values.map(({ labels, value }) => ({
			type: text(labels.type),
			state: text(labels.state),
			count: value,
		})),
		rollout_steps: (await durations(counts.steps)).map(({ labels, ...figures }) => ({
			outcome: text(labels.outcome),
			...figures,
		})),
		workers: [...workers.values()],
		worker_restarts: (await counts.restarts.get()).values.map(({ labels, value }) => ({
			app: text(labels.app),
			reason: text(labels.reason),
			count: value,
		})),
		links: sources.links().map(({ node, connected, rtt_ms, sent, received, reconnects }) => ({
			node,
			up: connected,
			rtt_ms,
			sent,
			received,
			reconnects,
		})),
		record_errors: (await counts.recordErrors.get()).values.map(({ labels, value }) => ({
			store: text(labels.store),
			count: value,
		})),
	};
}

type Durations<Label extends string> = {
	labels: Partial<Record<Label, string | number>>;
	count: number;
	seconds_sum: number;
	seconds_mean: number;
}[];

/** Count, sum and mean of each series of a histogram: its `_count` and `_sum` rows. */
async function durations<Label extends string>(histogram: Histogram<Label>): Promise<Durations<Label>> {
	const { values } = await histogram.get();
	const sums = new Map<string, number>();
	const key = (labels: object): string => JSON.stringify(labels);
	for (const { metricName, labels, value } of values) if (metricName?.endsWith('_sum')) sums.set(key(labels), value);
	return values.flatMap(({ metricName, labels, value }) => {
		if (!metricName?.endsWith('_count')) return [];
		const sum = sums.get(key(labels)) ?? 0;
		return [{ labels, count: value, seconds_sum: sum, seconds_mean: value === 0 ? 0 : sum / value }];
	});
}
