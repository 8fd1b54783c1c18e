/** Which members of a rollout are its targets. */
import type { NodeName, RolloutSpec } from '../types.js';

export const isSelected = ({ unselected }: Pick<RolloutSpec, 'unselected'>, node: NodeName): boolean =>
	!unselected?.includes(node);

/** Why a member is no target, in views. */
export function whyUntouched({ reverts, putBack }: Pick<RolloutSpec, 'reverts' | 'putBack'>, node: NodeName): string {
	if (reverts === undefined) return 'not selected';
	return putBack?.[node] ? 'runs it already' : `did not run what rollout ${reverts} brought`;
}
