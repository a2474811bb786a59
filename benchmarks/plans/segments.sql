-- The segments of examples/shop/ that benchmarks/segments_contenders.py asks for, written by hand for DuckDB.
-- `events` is a view of the Parquet file, $moment the moment. Rows of an order are one event, of any other name a message.
-- `past` is read again by each part, which is cheaper than to keep its 20M rows; orders are grouped once.
WITH past AS NOT MATERIALIZED (
    SELECT * FROM events
    WHERE time < $moment AND (NOT live OR received_at < $moment) AND customer IS NOT NULL AND NOT machine
), everybody AS (
    SELECT DISTINCT customer FROM past
), orders AS NOT MATERIALIZED (
    SELECT customer, order_id, min(time) AS first, max(time) AS last,
           sum(round(coalesce(quantity, 1) * coalesce(price, 0), 4)::DECIMAL(18, 4)) AS money
    FROM past WHERE name = 'Order Completed'
    GROUP BY customer, order_id
), spend AS (
    SELECT customer, min(first) AS first_order, max(last) AS last_order,
           count(*) FILTER (last >= $moment::TIMESTAMP - INTERVAL 180 DAY) AS orders_180d,
           count(*) FILTER (last >= $moment::TIMESTAMP - INTERVAL 365 DAY) AS orders_365d,
           sum(money) FILTER (last >= $moment::TIMESTAMP - INTERVAL 365 DAY) AS money_365d
    FROM orders
    GROUP BY customer
), activity AS (
    SELECT customer, bool_or(name = 'Product Viewed' AND channel = 'web') AS viewed_on_web,
           max(time) FILTER (name = 'Email Link Clicked') AS last_click,
           max(time) FILTER (name = 'Product Added' AND time < $moment::TIMESTAMP - INTERVAL 1 HOUR) AS last_add
    FROM past WHERE name IN ('Product Viewed', 'Email Link Clicked', 'Product Added')
    GROUP BY customer
), views AS (
    SELECT past.customer, item, count(*) AS views
    FROM past LEFT JOIN spend USING (customer)
    WHERE name = 'Product Viewed' AND item IS NOT NULL AND time >= $moment::TIMESTAMP - INTERVAL 7 DAY
      AND (last_order IS NULL OR time > last_order)
    GROUP BY past.customer, item
), intent AS (
    SELECT customer, max(views) AS views FROM views GROUP BY customer
), told AS (
    SELECT customer, arg_max(properties ->> '$.age_group', (time, received_at, source, message_id, line))
               FILTER (properties ->> '$.age_group' IS NOT NULL) AS age_group,
           arg_max(properties ->> '$.city', (time, received_at, source, message_id, line))
               FILTER (properties ->> '$.city' IS NOT NULL) AS city
    FROM past WHERE name = 'Identify'
    GROUP BY customer
), known AS (
    SELECT *, $moment::TIMESTAMP AS moment
    FROM everybody LEFT JOIN spend USING (customer) LEFT JOIN activity USING (customer) LEFT JOIN told USING (customer)
    LEFT JOIN intent USING (customer)
), staged AS (
    SELECT *, CASE WHEN first_order >= moment - INTERVAL 30 DAY THEN 'new'
                   WHEN last_order >= moment - INTERVAL 90 DAY THEN CASE WHEN orders_180d >= 3 THEN 'loyal' ELSE 'active' END
                   WHEN last_order >= moment - INTERVAL 180 DAY THEN 'at-risk'
                   WHEN last_order IS NOT NULL THEN 'lapsed' ELSE '' END AS stage
    FROM known
)
SELECT customer, stage = 'new' AS "new", stage = 'loyal' AS loyal, stage = 'active' AS active,
       stage = 'at-risk' AS "at-risk", stage = 'lapsed' AS lapsed,
       coalesce(orders_365d >= 6, false) AS "frequency-high",
       coalesce(money_365d >= 500, false) AS "money-high",
       coalesce(money_365d >= 100 AND money_365d < 500, false) AS "money-middle",
       coalesce(age_group = '18-34', false) AS young,
       coalesce(city IN ('Berlin', 'Hamburg', 'Lyon'), false) AS "city-dwellers",
       coalesce(last_click >= moment - INTERVAL 30 DAY, false) AS "from-email",
       coalesce(viewed_on_web AND last_click IS NULL, false) AS "web-only",
       coalesce(views >= 3, false) AS "high-intent",
       coalesce(last_add >= moment - INTERVAL 7 DAY AND (last_order IS NULL OR last_add > last_order), false) AS "cart-abandoner"
FROM staged ORDER BY customer
