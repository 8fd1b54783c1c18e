/** How a replacement goes through its workers batch by batch, counted from 0. */
import type { ReplacementPlan } from './model.js';

export function batchCount(plan: ReplacementPlan): number {
	const { news, olds, order, surge } = plan;
	const longest = Math.max(news.length, order === 'old_first' ? olds.length - surplusOf(plan) : 1);
	return Math.ceil(longest / surge);
}

export function newsOf({ news, surge }: ReplacementPlan, batch: number): readonly string[] {
	return news.slice(batch * surge, (batch + 1) * surge);
}

/** The last batch takes all the old ones that are left, so that no surplus stays. */
export function oldsOf(plan: ReplacementPlan, batch: number): readonly string[] {
	const last = batch >= batchCount(plan) - 1;
	const before = (index: number): number => (index === 0 ? 0 : surplusOf(plan) + index * plan.surge);
	return plan.olds.slice(before(batch), last ? undefined : before(batch + 1));
}

/** Old ones that leave with the first batch, beyond those whose places it takes. */
function surplusOf({ news, olds, order, surplusFirst }: ReplacementPlan): number {
	return surplusFirst && order === 'old_first' ? Math.max(0, olds.length - Math.max(1, news.length)) : 0;
}
