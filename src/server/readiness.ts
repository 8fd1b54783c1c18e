import type { AppReadiness, PinnedBy, Release, Releases } from '../workers/types.js';

/** What readiness is judged by; the composition root knows it. */
export interface ReadinessFacts {
	/** Start is over: every app had its first chance. */
	started: boolean;
	/** Rollcall's own drain, whatever the operator's status says. */
	draining: boolean;
	/** The operator's word. */
	availability: 'Available' | 'Unavailable' | null;
	apps: readonly AppReadiness[];
	/** What an operator should know though it makes nothing unready, in sentences. */
	notes?: readonly string[];
	/** What each app runs. */
	releases?: () => Releases;
	/** Apps that a rollout left on an earlier release. */
	pins?: () => Record<string, PinnedBy>;
}

export interface ReadinessReport {
	ready: boolean;
	reasons: string[];
	notes: string[];
	apps: AppReadiness[];
}

/** The details of a report, for callers that may see more than ready or not. */
export function detailsOf(
	{ apps, ...report }: ReadinessReport,
	{ releases = () => ({}), pins = () => ({}) }: ReadinessFacts,
): Omit<ReadinessReport, 'apps'> & { apps: (AppReadiness & { release: Release | null; pinned: PinnedBy | null })[] } {
	const running = new Map(Object.entries(releases()));
	const pinned = new Map(Object.entries(pins()));
	const about = (app: string) => ({ release: running.get(app) ?? null, pinned: pinned.get(app) ?? null });
	return { ...report, apps: apps.map((row) => ({ ...row, ...about(row.app) })) };
}

/** Judges the node, or one app of it; null if there is no such app. */
export function judgeReadiness(facts: ReadinessFacts, app: string | null): ReadinessReport | null {
	const apps = facts.apps.filter((row) => app === null || row.app === app);
	if (app !== null && apps.length === 0) return null;
	const reasons = [
		...(facts.started ? [] : ['starting']),
		...(facts.draining ? ['draining'] : []),
		...(facts.availability === 'Unavailable' ? ['unavailable'] : []),
		// Of an app that leaves, or proves itself beside others, nothing is wanted yet: that is no fault of the node.
		...apps
			.filter((row) => row.healthy < 1 && (app !== null || (row.wanted > 0 && counts(row))))
			.map((row) => `${row.app}: no healthy worker`),
	];
	return { ready: reasons.length === 0, reasons, notes: [...(facts.notes ?? [])], apps };
}

/** Whether requests come to the app: one that listens nowhere makes no node unready. */
const counts = ({ listens }: AppReadiness): boolean => listens !== false;
