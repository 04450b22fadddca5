"""Plans of queries, and their runs."""

import itertools
import unittest

from chalk_stand_in.plan import Missing, Step, plan, run


def step(name: str, inputs: str, outputs: str, compute=None, **defaults: object) -> Step:
    """A step with one-letter features; without a function it joins what it gets."""
    joined = lambda values: {output: f"{output}({','.join(map(str, values))})" for output in outputs}  # noqa: E731
    return Step(name, tuple(inputs), tuple(outputs), compute or joined, defaults)


class Plans(unittest.TestCase):
    """Which steps are taken."""

    def names(self, steps, given: str, wanted: str) -> list[str]:
        """The names of a plan's steps."""
        return [one.name for one in plan(steps, set(given), list(wanted))]

    def test_steps_follow_those_that_they_need_and_no_other_is_taken(self) -> None:
        steps = [step("c from b", "b", "c"), step("b from a", "a", "b"), step("d from a", "a", "d")]
        for order in itertools.permutations(steps):
            self.assertEqual(self.names(order, "a", "c"), ["b from a", "c from b"])

    def test_what_is_given_is_not_computed(self) -> None:
        steps = [step("c from b", "b", "c"), step("b from a", "a", "b")]
        self.assertEqual(self.names(steps, "b", "bc"), ["c from b"])
        self.assertEqual(self.names(steps, "c", "c"), [])

    def test_each_of_two_that_compute_each_other_is_used_from_its_side(self) -> None:
        steps = [step("a from b", "b", "a"), step("b from a", "a", "b")]
        self.assertEqual(self.names(steps, "a", "b"), ["b from a"])
        self.assertEqual(self.names(steps, "b", "a"), ["a from b"])
        with self.assertRaises(Missing):
            self.names(steps, "", "a")

    def test_the_way_that_the_inputs_allow_is_taken(self) -> None:
        steps = [step("x from a", "a", "x"), step("x from b", "b", "x")]
        self.assertEqual(self.names(steps, "b", "x"), ["x from b"])

    def test_a_default_is_used_only_where_nothing_else_goes_on(self) -> None:
        steps = [step("x", "ab", "x", b=7), step("b from a", "a", "b")]
        self.assertEqual(self.names(steps, "a", "x"), ["b from a", "x"])
        self.assertEqual(self.names(steps[:1], "a", "x"), ["x"])

    def test_the_feature_that_is_missing_is_named_at_the_end_of_its_chain(self) -> None:
        steps = [step("c from b", "b", "c"), step("b from a", "a", "b")]
        with self.assertRaises(Missing) as caught:
            self.names(steps, "", "c")
        self.assertEqual(caught.exception.feature, "a")
        self.assertIn("'c' needs 'a' (an input of b from a)", str(caught.exception))
        with self.assertRaises(Missing) as caught:
            self.names(steps, "", "z")
        self.assertEqual(caught.exception.feature, "z")

    def test_a_plan_can_always_be_run(self) -> None:
        steps = [
            step(f"{output} from {inputs}", inputs, output)
            for inputs, output in (
                ("a", "b"),
                ("ab", "c"),
                ("c", "a"),
                ("cd", "e"),
                ("", "d"),
                ("e", "bf"),
                ("fd", "g"),
            )
        ]
        found = 0
        for size in range(3):
            for given in itertools.combinations("abcdefg", size):
                for wanted in "abcdefg":
                    try:
                        chosen = plan(steps, set(given), [wanted])
                    except Missing as missing:
                        self.assertNotIn(missing.feature, given)
                        continue
                    found += 1
                    values, failures = run(chosen, {name: name for name in given})
                    self.assertIn(wanted, values)
                    self.assertEqual(failures, {})
        self.assertGreater(found, 100)


class Runs(unittest.TestCase):
    """What comes out."""

    def test_values_go_from_step_to_step_in_the_order_of_the_inputs(self) -> None:
        steps = [step("b", "a", "b"), step("c", "ba", "c")]
        values, failures = run(steps, {"a": 1})
        self.assertEqual(values, {"a": 1, "b": "b(1)", "c": "c(b(1),1)"})
        self.assertEqual(failures, {})

    def test_a_given_value_is_not_overwritten_by_a_step_that_makes_more(self) -> None:
        values, _ = run([step("ab", "", "ab")], {"a": "mine"})
        self.assertEqual(values, {"a": "mine", "b": "b()"})

    def test_a_resolver_that_raises_fails_what_needs_it_and_nothing_else(self) -> None:
        def broken(_):
            raise ZeroDivisionError("division " + "x" * 1000)

        steps = [step("broken", "a", "b", broken), step("needs", "b", "c"), step("fine", "a", "d")]
        values, failures = run(steps, {"a": 1})
        self.assertEqual(values, {"a": 1, "d": "d(1)"})
        self.assertEqual({name: failure.code for name, failure in failures.items()}, {
            "b": "RESOLVER_FAILED", "c": "UPSTREAM_FAILED",
        })  # fmt: skip
        self.assertTrue(failures["b"].message.startswith("broken raised ZeroDivisionError: division"))
        self.assertLessEqual(len(failures["b"].message), 300)

    def test_a_resolver_that_forgets_an_output_is_told(self) -> None:
        _, failures = run([step("half", "", "ab", lambda _: {"a": 1})], {})
        self.assertEqual(list(failures), ["b"])

    def test_a_default_stands_in_for_what_is_not_there(self) -> None:
        values, _ = run([step("x", "ab", "x", b=7)], {"a": 1})
        self.assertEqual(values["x"], "x(1,7)")


if __name__ == "__main__":
    unittest.main()
